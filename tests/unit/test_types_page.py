from pathlib import Path

from gateway.codec.types_page import page

PAGE = Path(__file__).parents[2] / "docs" / "protocols" / "types.md"


def test_the_page_of_types_says_what_the_table_says() -> None:
    assert PAGE.read_text() == page()
