"""The fenced blocks of the documentation, and what running one takes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))

RUN = frozenset({"python", "console", "bash", "sh"})
"""What a block has to be called to be run."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: under which heading it stands, the how manieth there, and what is in it."""

    page: str
    heading: str
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """``docs/callers.md, Predict, 1``."""
        return f"{self.page}, {self.heading}, {self.number}"


@dataclass(frozen=True, slots=True)
class Typed:
    """A line of a console block, and what is printed then; nothing where the page does not show it."""

    command: str
    prints: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, of whatever language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    counts: dict[str, int] = {}
    for found in _BLOCK.finditer(text):
        before = _HEADING.findall(_BLOCK.sub("", text[: found.start()]))
        heading = before[-1] if before else ""
        counts[heading] = counts.get(heading, 0) + 1
        yield Block(page=page, heading=heading, number=counts[heading], language=found[1], text=found[2])


def typed(block: Block) -> list[Typed]:
    """Return the lines of a console block that are typed."""
    steps = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [Typed(*step.split("\n", 1)) for step in steps]
