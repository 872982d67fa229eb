"""The hostile files, all of them: each class that was seen to hurt a runtime or a server, with its variants.

1. Files are built when they are asked for, and come out the same each time.
2. An outcome is what ought to be answered, not whatever is: what this server does wrong is mended, not written down.
3. Where luck decides between outcomes that are all right (where a crash finds a model, which limit bites first), each
   of them is named.
"""

from collections.abc import Iterator

from tests.hostile_set import calls, damaged, divisions, graphs, growth, kernels, ranks, texts, weights
from tests.hostile_set.case import Feed, FileCase, refused
from tests.support.hostile_files import FOREIGN, REFUSED

__all__ = ["Feed", "FileCase", "file_cases"]


_FAMILIES = (divisions, ranks, growth, calls, graphs, weights, texts, kernels, damaged)


def file_cases() -> list[FileCase]:
    """Return every case."""
    return [*_known(), *(case for family in _FAMILIES for case in family.cases())]


def _known() -> Iterator[FileCase]:
    """Yield the files of which each shows one limit, and that are inspected by themselves elsewhere."""
    for name, hostile in REFUSED.items():
        yield refused("limits", name, hostile.octets, (f"422 {hostile.code}",))
    for name, hostile in FOREIGN.items():
        yield refused("another format", name, hostile.octets, (f"415 {hostile.code}",))
