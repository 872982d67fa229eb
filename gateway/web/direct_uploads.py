"""Large files, sent straight to the store's bucket: announced here, sent there, and finished here.

What was sent is hashed before it becomes anything: it is copied to a spool file and stored as if it had been sent here.
"""

from datetime import datetime

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gateway.web.context import DigestInPath, UsesServices
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import UploadBody, timestamp
from gateway.web.services import Services
from registry.artifact import Digest, parse_digest
from registry.errors import BodyTooLarge, DigestMismatch, NoDirectUploads, UploadNotFound
from registry.roles import Role
from registry.storage import DirectUploads

router = APIRouter(prefix="/registry/uploads", tags=["registering"], route_class=JsonRoute)


@router.post("", summary="Announce a file that is sent straight to the store", status_code=201)
@needs(Role.PUBLISH)
async def offer_upload(services: UsesServices, wanted: UploadBody) -> Response:
    """Return the one request that sends the file, signed for just these bytes, and where to say that it is done."""
    uploads = _uploads(services)
    digest = parse_digest(wanted.digest)
    limit_bytes = services.settings.max_upload_bytes
    if wanted.size_bytes > limit_bytes:
        raise BodyTooLarge(f"the file is larger than {limit_bytes} bytes, the most that is accepted")
    asked_at = services.clock.now()
    offer = await services.call(uploads.offer, digest, wanted.size_bytes)
    body = {
        "url": offer.url,
        "method": offer.method,
        "headers": dict(offer.headers),
        "expires_at": timestamp(_whole_seconds(asked_at + offer.lifetime)),
        "finish": f"/registry/uploads/{digest}/finish",
    }
    return JSONResponse(body, status_code=201)


@router.post(
    "/{digest}/finish",
    summary="Take in a file that was sent straight to the store",
    status_code=201,
    responses={200: {"description": "It was there already"}},
)
@needs(Role.PUBLISH)
async def finish_upload(services: UsesServices, digest: DigestInPath) -> Response:
    """Hash what was sent and store it under its digest: 201, or 200 when it was there already."""
    uploads = _uploads(services)
    size_bytes, is_new = await services.take_in(_finish, services, uploads, digest)
    body = {"digest": str(digest), "size_bytes": size_bytes}
    return JSONResponse(body, status_code=201 if is_new else 200)


def _finish(services: Services, uploads: DirectUploads, announced: Digest) -> tuple[int, bool]:
    with services.open_spool() as spool:
        try:
            for chunk in uploads.open(announced, limit_bytes=services.settings.max_upload_bytes):
                spool.write(chunk)
            upload = spool.finish()
            is_new = services.registration.put_blob(upload, announced=announced)
        except (DigestMismatch, BodyTooLarge):
            uploads.discard(announced)
            raise
        except UploadNotFound:
            size_bytes = services.store.find_size(announced)
            if size_bytes is None:
                raise
            return size_bytes, False  # finished before: the answer did not arrive, or another client sent it too
    uploads.discard(announced)
    return upload.size_bytes, is_new


def _uploads(services: Services) -> DirectUploads:
    if services.uploads is None:
        raise NoDirectUploads(
            "the artifact store is a folder: send the bytes here, with PUT /registry/blobs/sha256:<digest>"
        )
    return services.uploads


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
