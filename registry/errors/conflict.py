"""What is not as the caller thought: the caller must look again."""

from registry.errors.service_error import ServiceError


class Conflict(ServiceError):
    """The state is not what the caller thought."""


class NoActiveVersion(Conflict):
    """The alias points at nothing yet."""

    code = "no_active_version"
    title = "No version is promoted"


class NoPreviousVersion(Conflict):
    """There is no promotion left to roll back."""

    code = "no_previous_version"
    title = "There is nothing to roll back to"


class GenerationConflict(Conflict):
    """Somebody else moved the alias first, or changed its canary or shadow."""

    code = "generation_conflict"
    title = "The alias has changed meanwhile"


class BreakingSignature(Conflict):
    """The candidate would break callers of the version that is live now."""

    code = "breaking_signature"
    title = "The promotion would break callers"


class VersionActive(Conflict):
    """An alias points at the version, so that it cannot be retired."""

    code = "version_active"
    title = "The version is in use"


class ModelUnloaded(Conflict):
    """Somebody has unloaded the model; its next request, or whoever loads it, brings it back."""

    code = "model_unloaded"
    title = "The model is unloaded"


class ModelPinned(Conflict):
    """The model stays loaded because the operator's settings say so."""

    code = "model_pinned"
    title = "The model is pinned"


class NotPromotable(Conflict):
    """The version exists but may not serve."""

    code = "version_not_promotable"
    title = "The version cannot be promoted"


class RehearsalFailed(NotPromotable):
    """The version did not load on trial, or did not give what its examples say; nothing has moved."""

    code = "rehearsal_failed"
    title = "The version failed its rehearsal"


class SourceChanged(Conflict):
    """Somebody wrote to the source while it was being read."""

    code = "source_changed"
    title = "The source has changed meanwhile"


class NoDirectUploads(Conflict):
    """The store is a folder, which nobody but the gateway can write to."""

    code = "no_direct_uploads"
    title = "The store takes no direct uploads"


class InputStatisticsOff(Conflict):
    """The gateway's settings have it look at no inputs."""

    code = "input_statistics_off"
    title = "Inputs are not looked at"


class TooManyWebhooks(Conflict):
    """There are as many webhooks as there may be."""

    code = "too_many_webhooks"
    title = "There are too many webhooks"
