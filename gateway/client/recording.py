"""Golden examples of a version: set, recorded, and what is kept of the example that it was registered with.

1. What a version was registered with is the golden example ``registration``: its outputs are what the gateway answers,
   so that a later runtime or host that answers otherwise is noticed, and its rows are what requests are held against.
2. It is small: at most 64 rows, spread over the example, since data lie about in order; and 2 MiB. Rows are left out
   only where all inputs have the same number of them and the signature leaves it free.
3. A version that has it keeps it: registering the same bytes again, with other rows, changes no promise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.client.errors import ClientError, UnusableArgument, input_mismatch
from gateway.client.fitting import fit
from gateway.client.predicting import Predicting, inputs_by_name
from gateway.client.references import model_path
from gateway.client.tensors import Spec, encode_inputs
from gateway.client.versions import VersionInfo
from gateway.client.wire import read_document

REGISTRATION = "registration"
"""The name of the golden example that comes from the registration."""

MOST_ROWS = 64
MOST_BYTES = 2 * 1024 * 1024
"""Of the inputs: a version's examples have 4 MiB with their outputs, as text that takes a third more."""


class ExampleNotKept(UserWarning):
    """The version is registered, but the example could not be kept with it; ``keep_example`` tries again."""

    def __init__(self, version: VersionInfo, reason: ClientError) -> None:
        super().__init__(f"{version.reference} is registered, but its example is not kept: {reason}")
        self.version = version
        self.reason = reason


class Recording(Predicting):
    """The part of a client that is about golden examples."""

    def set_examples(self, model: str, version: int, golden: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Replace a version's golden examples; refused if it does not answer so."""
        document = {"examples": list(golden)}
        return list(
            self._wire.call("PUT", model_path(model, "versions", version, "examples"), document=document).items_in()
        )

    def record_example(self, model: str, version: int, example: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Add one golden example; without ``outputs``, with what the version answers now."""
        path = model_path(model, "versions", version, "examples")
        return list(read_document(self._wire.send("POST", path, document=dict(example))).items_in())

    def keep_example(self, version: VersionInfo, inputs: Any) -> VersionInfo:
        """Record the golden example ``registration``, with what the version answers now, and return the version.

        At most 64 rows of it are kept, spread over all; nothing changes where there is one already.

        Args:
            version: what ``register`` returned.
            inputs: as ``predict`` takes them.

        Raises:
            InputMismatch: the inputs do not fit the signature; all faults of them.
            UnusableArgument: it is not clear which input is meant, or what is to be kept is larger than 2 MiB.
            ApiError: besides, ``example_mismatch`` if the version does not answer the same twice.
        """
        if self.has_registration_example(version):
            return version
        feed, faults = fit(inputs_by_name(inputs, version), version.inputs)
        if faults:
            raise input_mismatch(faults)
        model, number = version.model, version.version
        kept = encode_inputs(bounded(feed, version.inputs), version.inputs)
        self.record_example(model, number, {"name": REGISTRATION, "inputs": kept})
        found = VersionInfo(self._wire.get(model_path(model, "versions", number)), is_new=version.is_new)
        self._versions[model, number] = found
        return found

    def has_registration_example(self, version: VersionInfo) -> bool:
        """Return whether a version has kept what it was registered with."""
        known = self.examples(version.model, version.version) if version.document.get("examples") else []
        return any(example.get("name") == REGISTRATION for example in known)


def bounded(feed: Mapping[str, Any], specs: Sequence[Spec]) -> Mapping[str, Any]:
    """Return what is kept of an example (rule 2).

    Raises:
        UnusableArgument: one row, or what cannot be shortened, is too large.
    """
    size_bytes = sum(map(_size_bytes, feed.values()))
    count = _row_count(feed, specs)
    most = MOST_ROWS if count is None else min(MOST_ROWS, count * MOST_BYTES // max(size_bytes, 1))
    if (size_bytes > MOST_BYTES and count is None) or not most:
        what = f"it takes {size_bytes} bytes" if count is None else f"a row takes {size_bytes // count} bytes"
        raise UnusableArgument(f"{what}, and at most {MOST_BYTES} are kept")
    if count is None or count <= most:
        return feed
    places = [place * count // most for place in range(most)]
    return {name: array[places] for name, array in feed.items()}


def _row_count(feed: Mapping[str, Any], specs: Sequence[Spec]) -> int | None:
    """Return how many rows an example has, None where that is not free, or not clear."""
    counts: set[int | None] = set()
    for spec in specs:
        if spec["name"] in feed:
            shape = tuple(getattr(feed[spec["name"]], "shape", ()))
            is_free = bool(shape) and (not spec["shape"] or not isinstance(spec["shape"][0], int))
            counts.add(shape[0] if is_free else None)
    count = counts.pop() if len(counts) == 1 else None
    return count or None


def _size_bytes(value: Any) -> int:
    if getattr(value, "dtype", None) is None:
        return 0
    if value.dtype.kind == "O":
        return sum(len(str(text)) for text in value.ravel().tolist())
    return int(value.nbytes)
