"""Sessions without a model, which know whether they have been closed, and a loader that makes them."""

from collections import Counter

from registry.records import Version

MIB = 1 << 20


class PlainSession:
    """Something to lease."""

    def __init__(self, version: Version, memory_bytes: int | None = None, load_seconds: float = 0.0) -> None:
        self.version = version
        self.is_closed = False
        self.is_displaced = False
        self.memory_bytes = memory_bytes
        self.load_seconds = load_seconds

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True


class Loader:
    """Makes sessions and counts; fails with ``errors[name]`` where there is one."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.errors: dict[str, Exception] = {}
        self.measured: dict[str, int] = {}
        """What the sessions of a version say that they take; nothing for the others."""

        self.seconds: dict[str, float] = {}
        """How long the loads of a version took, as their sessions tell; no time for the others."""

    def expect(self, version: Version) -> int:
        return self.measured.get(f"{version.model}:{version.number}", version.inspection.memory_bytes)

    def __call__(self, version: Version) -> PlainSession:
        name = f"{version.model}:{version.number}"
        self.loads[name] += 1
        if name in self.errors:
            raise self.errors[name]
        return PlainSession(version, self.measured.get(name), self.seconds.get(name, 0.0))
