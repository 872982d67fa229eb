"""What ``sardonyx doctor`` says about the children that look at uploaded models, a line each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.inspection.measures import Measures

_READS_ALL = 1 << 2
"""The right of root to read and find every file (CAP_DAC_READ_SEARCH)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure, whether it is in force, and what that means."""

    name: str
    is_in_force: bool
    detail: str


def list_measures(found: "Measures") -> Iterator[Measure]:
    """Yield the measures as a child has found them."""
    yield Measure(
        name="inspection: files",
        is_in_force=found.landlock_abi > 0,
        detail=f"Landlock, ABI {found.landlock_abi}: a child sees its model and the program"
        if found.landlock_abi
        else "no Landlock (Linux 5.13): a child can read what the gateway can; limits and filter keep it from writing",
    )
    yield Measure(
        name="inspection: system calls",
        is_in_force=found.has_filter,
        detail="filtered: no processes, no sockets, nothing done to other processes"
        if found.has_filter
        else "no filter: it needs a kernel with seccomp on x86-64 or 64-bit ARM",
    )
    yield _network(found)
    yield Measure(
        name="inspection: new rights",
        is_in_force=found.gains_no_rights,
        detail="none by running other programs" if found.gains_no_rights else "no_new_privs cannot be had",
    )
    yield _user(found)


def _network(found: "Measures") -> Measure:
    if found.has_own_network:
        detail = "a namespace of its own, with nobody in it"
    elif found.has_filter:
        detail = "no namespace can be had here; the filter refuses sockets"
    else:
        detail = "the gateway's: neither a namespace nor a filter of system calls can be had here"
    return Measure(name="inspection: network", is_in_force=found.has_own_network or found.has_filter, detail=detail)


def _user(found: "Measures") -> Measure:
    if not found.is_root:
        detail = "the gateway's own, without any of root's rights"
    elif found.rights & ~_READS_ALL:
        detail = "root, with rights that cannot be given up: run the gateway as an ordinary user"
    else:
        detail = "root, without its rights but to read: run the gateway as an ordinary user"
    return Measure(name="inspection: user", is_in_force=not found.is_root and found.rights == 0, detail=detail)
