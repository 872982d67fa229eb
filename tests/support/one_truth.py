"""What holds for any body: the exact parse decides, and the quick ones agree with it to the last bit."""

from contextlib import suppress
from typing import Any

import numpy as np

from gateway.codec.body import PredictBody
from gateway.codec.buffer_decode import BufferDecoder, can_read_buffers
from gateway.codec.exact_decode import decode_exactly
from gateway.codec.fast_decode import FastDecoder, can_read_fast
from gateway.codec.fit import DOUBTS, Doubt
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import kind_of


def canonical(array: Any) -> tuple[str, tuple[int, ...], object]:
    """The bits of an array, all NaN being one."""
    if array.dtype == object:
        return "string", array.shape, array.tolist()
    if kind_of(array.dtype) == "f":
        with np.errstate(invalid="ignore"):  # some NaN signal
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return array.dtype.name, array.shape, array.tobytes()


def outcome_of_exact(what: Signature, body: bytes) -> PredictBody | CallerError:
    try:
        return decode_exactly(what, body)
    except CallerError as error:
        return error


def check_one_truth(what: Signature, body: bytes) -> None:
    """The exact parse gives a value or a caller's error; what the quick ones accept is the same value."""
    exact = outcome_of_exact(what, body)
    if can_read_fast(what):
        with suppress(*DOUBTS):
            check_same(FastDecoder(what).decode(body), exact)
    if can_read_buffers(what):
        with suppress(Doubt):
            check_same(BufferDecoder(what).decode(body), exact)
    if isinstance(exact, PredictBody):
        assert what.check({name: array.shape for name, array in exact.feed.items()}) == []
        assert all(array.flags.c_contiguous for array in exact.feed.values())


def check_same(quick: PredictBody, exact: PredictBody | CallerError) -> None:
    assert isinstance(exact, PredictBody), exact
    assert (quick.outputs, quick.id, list(quick.feed)) == (exact.outputs, exact.id, list(exact.feed))
    assert list(map(canonical, quick.feed.values())) == list(map(canonical, exact.feed.values()))
    assert all(array.flags.c_contiguous and array.flags.writeable for array in quick.feed.values())
