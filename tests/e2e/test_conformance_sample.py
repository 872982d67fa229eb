"""A sample of the ONNX conformance set through a live gateway; ``make conformance`` runs all of it."""

import pytest

from tests.conformance.cases import load_cases
from tests.conformance.gateway import gateway_with_wires
from tests.conformance.run import Expected, Findings, register, run_in_process, run_over_wires
from tests.conformance.sample import sample, traits_of

pytestmark = pytest.mark.timeout(300)

_SIZE = 60


@pytest.fixture(scope="module")
def chosen() -> list[Expected]:
    return sample(run_in_process(load_cases(), Findings()), _SIZE)


@pytest.fixture(scope="module")
def findings(chosen: list[Expected], tmp_path_factory: pytest.TempPathFactory) -> Findings:
    found = Findings()
    with gateway_with_wires(tmp_path_factory.mktemp("conformance") / "data") as (client, wires):
        run_over_wires(wires, register(client, chosen, found), found)
    return found


def test_the_sample_shows_every_type_and_container(chosen: list[Expected]) -> None:
    shown = {trait for item in chosen for trait in traits_of(item)}
    assert shown == {trait for item in run_in_process(load_cases(), Findings()) for trait in traits_of(item)}


def test_every_model_that_the_runtime_runs_is_registered(findings: Findings) -> None:
    assert findings.refused == {}


@pytest.mark.parametrize("wire", ["native JSON", "OIP JSON", "OIP binary", "gRPC"])
def test_every_answer_has_the_bits_of_the_runtime_in_process(findings: Findings, wire: str) -> None:
    assert findings.failed[wire] == {}
    assert findings.passed[wire]


def test_the_native_wire_has_words_for_every_type(findings: Findings) -> None:
    assert findings.unspellable["native JSON"] == {}
