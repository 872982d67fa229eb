"""What runs before a change lands says what it could not do."""

import re
from pathlib import Path

RUN = (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")


def test_a_program_that_cannot_be_unpacked_is_named() -> None:
    downloads = re.findall(r"^  if \(.*apt-get download.*$", RUN, re.MULTILINE)
    words = re.findall(r"^  else\n    echo .* are skipped\" >&2\n  fi$", RUN, re.MULTILINE)

    assert len(words) == len(downloads) > 0
