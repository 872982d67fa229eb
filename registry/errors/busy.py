"""What may succeed later, just as it was asked."""

from registry.errors.service_error import ServiceError


class Busy(ServiceError):
    """The same request may succeed later."""


class Overloaded(Busy):
    """The version's queue is full."""

    code = "overloaded"
    title = "Too many requests are waiting"


class DeadlinePassed(Busy):
    """The answer was not there in time."""

    code = "predict_timeout"
    title = "The prediction took too long"


class RequestTimeout(Busy):
    """The request did not arrive in time."""

    code = "request_timeout"
    title = "The request came too slowly"


class Draining(Busy):
    """The process is ending, and another one answers."""

    code = "draining"
    title = "The process is ending"


class InsufficientMemory(Busy):
    """The model does not fit into the memory budget."""

    code = "insufficient_memory"
    title = "There is not enough memory for the model"


class LoadFailed(Busy):
    """The model did not load; the failure is remembered for a while."""

    code = "model_load_failed"
    title = "The model could not be loaded"


class ModelCrashed(Busy):
    """The process that ran the version died of it; another one is there for the next request."""

    code = "model_crashed"
    title = "The model ended the process that ran it"


class ModelOutOfMemory(Busy):
    """The process that ran the version asked for more memory than it may have."""

    code = "model_out_of_memory"
    title = "The model asked for too much memory"


class StorageUnavailable(Busy):
    """The artifact store does not answer."""

    code = "storage_unavailable"
    title = "The artifact store is unavailable"


class InsufficientStorage(Busy):
    """The disk is full."""

    code = "insufficient_storage"
    title = "There is not enough disk space"


class RegistryUnavailable(Busy):
    """The registry's database does not answer."""

    code = "registry_unavailable"
    title = "The registry is unavailable"


class RegistryBusy(Busy):
    """Another writer held the registry's database for too long."""

    code = "registry_busy"
    title = "The registry is busy"
