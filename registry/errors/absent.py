"""What is not there: the caller must look elsewhere."""

from registry.errors.service_error import ServiceError


class NotFound(ServiceError):
    """What was asked for is not there."""


class RouteNotFound(NotFound):
    """No route has this path."""

    code = "not_found"
    title = "There is nothing here"


class ServedElsewhere(NotFound):
    """This process has another role; the detail says which processes answer such requests."""

    code = "served_elsewhere"
    title = "Another process serves this"


class ModelNotFound(NotFound):
    """No model has this name."""

    code = "model_not_found"
    title = "There is no such model"


class VersionNotFound(NotFound):
    """The model has no version of this number."""

    code = "version_not_found"
    title = "There is no such version"


class AliasNotFound(NotFound):
    """The model has no alias of this name."""

    code = "alias_not_found"
    title = "There is no such alias"


class FileNotInVersion(NotFound):
    """The version has no file of this name."""

    code = "file_not_found"
    title = "There is no such file"


class BlobNotFound(NotFound):
    """A version was to be made of files that have not been uploaded."""

    code = "blob_not_found"
    title = "There are no such bytes"


class SourceNotFound(NotFound):
    """The object that a version was to be read from is not there, or the gateway may not read it."""

    code = "source_not_found"
    title = "There is no such source"


class UploadNotFound(NotFound):
    """Nothing was sent to the store under this digest."""

    code = "upload_not_found"
    title = "There is no such upload"


class TokenNotFound(NotFound):
    """No access token has this id."""

    code = "token_not_found"
    title = "There is no such access token"


class WebhookNotFound(NotFound):
    """No webhook has this id."""

    code = "webhook_not_found"
    title = "There is no such webhook"


class DeliveryNotFound(NotFound):
    """The webhook's log has no delivery of this number, or no longer."""

    code = "delivery_not_found"
    title = "There is no such delivery"


class VersionRetired(NotFound):
    """The version was retired; its number will not be used again."""

    code = "version_retired"
    title = "The version is retired"
