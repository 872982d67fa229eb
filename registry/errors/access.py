"""What the caller needs other rights for."""

from registry.errors.service_error import ServiceError


class AccessError(ServiceError):
    """The caller needs other rights."""


class Unauthenticated(AccessError):
    """No access token came with the request, or none that is good: the answer does not say which."""

    code = "unauthenticated"
    title = "A valid access token is needed"


class Forbidden(AccessError):
    """The token is good, but not for this."""

    code = "forbidden"
    title = "The access token does not allow this"


class TooManyAttempts(AccessError):
    """Too many requests without a good token came from one address."""

    code = "too_many_attempts"
    title = "Too many requests came without a valid access token"


class ForeignOrigin(AccessError):
    """Without tokens the gateway answers this machine's own programs only, never a web page of another origin."""

    code = "foreign_origin"
    title = "The request comes from a foreign origin"
