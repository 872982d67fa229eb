"""Any bytes are a model that the rules let pass, or a caller's error; nothing else comes out of the scan."""

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import CallerError
from registry.inspection.wire_scan import scan
from tests.support import models
from tests.support.inspecting import SITE_PACKAGES

SEEDS = [
    source.SerializeToString()
    for source in (
        models.linear(),
        models.calls(3),
        models.tree(5),
        models.nested_ifs(3),
        models.loop(trips=2),
        models.string_twice(),
    )
] + [
    models.with_external_data(models.linear())[0],
    (SITE_PACKAGES / "silero_vad" / "data" / "silero_vad_16k_op15.onnx").read_bytes()[:20_000],
]


def is_a_verdict(data: bytes) -> bool:
    try:
        scan(data, {"model.onnx.data": 64})
    except CallerError:
        return True
    return True


@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    assert is_a_verdict(data)


@given(st.binary(max_size=300))
def test_any_bytes_inside_a_graph_get_a_verdict(graph: bytes) -> None:
    size = len(graph)
    assert is_a_verdict(b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7]) + graph)


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=4))
def test_models_with_other_bytes_in_them_get_a_verdict(seed: bytes, changes: list[tuple[int, int]]) -> None:
    mutant = bytearray(seed)
    for place, octet in changes:
        mutant[place % len(mutant)] = octet
    assert is_a_verdict(bytes(mutant))


@given(st.sampled_from(SEEDS), st.integers(0, 20_000), st.integers(0, 20_000))
def test_models_with_pieces_cut_out_get_a_verdict(seed: bytes, begin: int, size: int) -> None:
    begin %= len(seed)
    assert is_a_verdict(seed[:begin] + seed[begin + size :])
