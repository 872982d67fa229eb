"""What another runtime has inspected is inspected again, before anybody relies on it.

1. Inspection shows what a runtime does with a model: another one may crash on it, or see other tensors in it.
2. What this runtime has found out, here or elsewhere, is not found out again.
3. Callers were promised the signature that the version was registered with: a runtime that sees another one serves
   another model.
"""

from pathlib import Path

from registry.errors import InvalidArtifact
from registry.ports import Inspector
from registry.records import Inspection, Version


def inspect_again(inspector: Inspector, folder: Path, version: Version, known: Inspection | None) -> Inspection:
    """Return what the inspector's runtime finds in a version, or has found; blocks on a child process.

    Args:
        inspector: what starts the child.
        folder: where the version's files lie.
        version: as it is recorded.
        known: what this runtime has found, if anybody has recorded that.

    Raises:
        InvalidArtifact, UnsupportedFormat: it is refused; ``signature_changed`` where it is another one by now.
        Overloaded, InternalError: it cannot be told now.
    """
    found = inspector.inspect(folder, version.artifact) if known is None else known
    if found.signature != version.signature:
        raise InvalidArtifact(
            "signature_changed",
            f"it takes or gives something else than {version.inspection.runtime} saw when it was registered",
        )
    return found
