"""What a session cache shows of itself; looking changes nothing, and counts as no use."""

from typing import Generic

from gateway.serving.cache_entry import Entry, Key, S, key_of
from registry.records import Version


class CacheView(Generic[S]):
    """The loaded sessions, as others see them."""

    def __init__(self) -> None:
        self._ready: dict[Key, Entry[S]] = {}
        self._loading: dict[Key, Entry[S]] = {}
        self._used_bytes = 0  # loading, ready and draining

    def is_resident(self, version: Version) -> bool:
        """Tell whether the version is loaded; does not count as use."""
        return key_of(version) in self._ready

    def look_at(self, key: Key) -> S | None:
        """Return a version's session, to see what it is; it is not to be used."""
        entry = self._ready.get(key)
        return None if entry is None else entry.session

    def has_model(self, model: str) -> bool:
        """Tell whether any version of the model is loaded."""
        return any(key[0] == model for key in self._ready)

    def resident(self) -> tuple[str, ...]:
        """Return the loaded versions, as ``iris:3``, in the order in which they were loaded."""
        return tuple(f"{model}:{number}" for model, number in self._ready)

    def by_use(self) -> tuple[str, ...]:
        """Return the loaded versions as ``resident`` has them, those that have been used most first."""
        ready = sorted(self._ready.items(), key=lambda item: -item[1].uses)
        return tuple(f"{model}:{number}" for (model, number), _ in ready)

    def sizes(self) -> dict[str, int]:
        """Return what each loaded version counts for in bytes, by its name as ``resident`` has it."""
        return {f"{model}:{number}": entry.size_bytes for (model, number), entry in self._ready.items()}

    def plain(self) -> list[Version]:
        """Return the loaded versions whose sessions are not of prepared models."""
        return [entry.version for entry in self._ready.values() if not entry.is_prepared]

    def loaded_at(self, version: Version) -> float:
        """Return the moment of the clock when the version was loaded that is there now; 0 if it is not."""
        entry = self._ready.get(key_of(version))
        return 0.0 if entry is None else entry.loaded_at

    @property
    def resident_bytes(self) -> int:
        """What sessions take that are loaded, being loaded or not yet dropped."""
        return self._used_bytes

    def _bytes_of(self, key: Key) -> int | None:
        entry = self._ready.get(key) or self._loading.get(key)
        return None if entry is None else entry.size_bytes
