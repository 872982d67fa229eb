"""What nobody outside can help with: an operator must act."""

from registry.errors.service_error import ServiceError


class Fault(ServiceError):
    """Nobody outside can help."""

    is_private = True


class ArtifactMissing(Fault):
    """The store has lost the bytes of a version."""

    code = "artifact_missing"
    title = "The model's files are missing"


class ArtifactCorrupt(Fault):
    """The store's bytes do not have the digest that they were registered under."""

    code = "artifact_corrupt"
    title = "The model's files are damaged"


class ModelQuarantined(Fault):
    """The version ended every process that ran it: nothing runs it until an admin clears it."""

    is_private = False
    code = "model_quarantined"
    title = "The model is in quarantine"


class SchemaMismatch(Fault):
    """The database's schema is older or newer than this code; the detail names both revisions."""

    is_private = False
    code = "schema_mismatch"
    title = "The database has another schema"


class InternalError(Fault):
    """A bug of ours."""

    code = "internal_error"
    title = "The gateway made a mistake"
