import locale
from pathlib import Path

import pytest

from gateway.cli.checks import Check, Verdict
from gateway.cli.doctor import check_folder
from gateway.cli.machine_checks import STRING_LOCALE, check_locale


def test_a_folder_is_made_tried_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"

    assert check_folder(folder) == f"{folder} can be written"
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")

    with pytest.raises(OSError, match="exists"):
        check_folder(tmp_path / "cache")


def test_the_locale_is_tried_and_put_back() -> None:
    before = locale.setlocale(locale.LC_CTYPE)

    check = check_locale()

    assert locale.setlocale(locale.LC_CTYPE) == before
    good = Check(name="locale", verdict=Verdict.OK, detail=STRING_LOCALE)
    assert check == good or (check.verdict, STRING_LOCALE in check.detail) == (Verdict.WARNING, True)
