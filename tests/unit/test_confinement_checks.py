"""What doctor says about the children that look at models."""

from dataclasses import replace

import pytest

from gateway.cli.confinement_checks import list_measures
from registry.inspection.landlock import landlock_abi
from registry.inspection.measures import Measures, ask
from tests.support.kernels import has_filters

ALL = Measures(landlock_abi=7, has_filter=True, has_own_network=True, gains_no_rights=True, is_root=False, rights=0)


def missing(found: Measures) -> list[str]:
    """The checks that would be warnings."""
    return [measure.name.removeprefix("inspection: ") for measure in list_measures(found) if not measure.is_in_force]


@pytest.mark.parametrize(
    ("found", "names"),
    [
        pytest.param(ALL, [], id="everything"),
        pytest.param(replace(ALL, landlock_abi=0), ["files"], id="no Landlock"),
        pytest.param(replace(ALL, has_filter=False), ["system calls"], id="no filter"),
        pytest.param(replace(ALL, has_own_network=False), [], id="sockets are refused by the filter alone"),
        pytest.param(
            replace(ALL, has_own_network=False, has_filter=False),
            ["system calls", "network"],
            id="the gateway's network",
        ),
        pytest.param(replace(ALL, gains_no_rights=False), ["new rights"], id="rights to be had"),
        pytest.param(replace(ALL, is_root=True, rights=4), ["user"], id="root"),
        pytest.param(replace(ALL, rights=1 << 21), ["user"], id="an ordinary user with rights"),
    ],
)
def test_each_measure_that_is_missing_is_named(found: Measures, names: list[str]) -> None:
    assert missing(found) == names


def test_the_words_say_what_is_in_force_and_what_to_do() -> None:
    details = {measure.name: measure.detail for measure in list_measures(replace(ALL, is_root=True, rights=4))}
    assert details == {
        "inspection: files": "Landlock, ABI 7: a child sees its model and the program",
        "inspection: system calls": "filtered: no processes, no sockets, nothing done to other processes",
        "inspection: network": "a namespace of its own, with nobody in it",
        "inspection: new rights": "none by running other programs",
        "inspection: user": "root, without its rights but to read: run the gateway as an ordinary user",
    }


def test_a_child_tells_what_this_kernel_has() -> None:
    found = ask()
    assert (found.landlock_abi, found.has_filter, found.gains_no_rights) == (
        landlock_abi(),
        has_filters(),
        True,
    )
    assert found.rights == (4 if found.is_root else 0)
