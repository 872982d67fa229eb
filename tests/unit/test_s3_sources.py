"""Reading other people's objects: only where it is allowed, and only as they were at one moment."""

from typing import Any

import pytest

from model_store.s3.client import S3Client
from model_store.s3.foreign import S3Sources
from registry.errors import BodyTooLarge, ServiceError, SourceChanged, SourceNotAllowed, SourceNotFound
from tests.support.hostile_server import serving
from tests.support.s3_server import BUCKET, S3Server, new_prefix

CONTENT = b"somebody's model"
LIMIT = 1000


@pytest.fixture
def key(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An object that holds CONTENT."""
    s3_server.give_credentials(monkeypatch)
    key = f"{new_prefix()}/a model, für #1?.onnx"
    s3_server.client().put_object(Bucket=BUCKET, Key=key, Body=CONTENT)
    return key


@pytest.fixture
def client(s3_server: S3Server) -> S3Client:
    return S3Client(s3_server.endpoint_url)


@pytest.fixture
def sources(client: S3Client) -> S3Sources:
    return S3Sources(client, frozenset({BUCKET, "no-such-bucket"}))


def _refusal(sources: S3Sources, source: str, *, limit_bytes: int = LIMIT) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        sources.open(source, limit_bytes=limit_bytes)
    return caught.value


def test_an_object_of_an_allowed_bucket_is_read_whatever_its_key_looks_like(sources: S3Sources, key: str) -> None:
    assert b"".join(sources.open(f"s3://{BUCKET}/{key}", limit_bytes=LIMIT)) == CONTENT


@pytest.mark.parametrize(
    "source",
    [
        "s3://other/model.onnx",
        "s3://MODELS/model.onnx",
        "s3://models.evil.example/model.onnx",
        "s3://models@other/model.onnx",
        "s3:///model.onnx",
        "s3://models",
        "s3://models/",
        "s3://models/" + "k" * 1025,
        "S3://models/model.onnx",
        "models/model.onnx",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "https://models.s3.amazonaws.com/model.onnx",
        "arn:aws:s3:::models/model.onnx",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/models/model.onnx",
        "",
    ],
)
def test_every_other_source_is_refused_before_a_request_leaves(source: str) -> None:
    with serving(lambda _: None) as (url, seen):
        refusal = _refusal(S3Sources(S3Client(url), frozenset({"models"})), source)
    assert (type(refusal), seen) == (SourceNotAllowed, [])


def test_a_refusal_says_what_would_be_allowed() -> None:
    some = _refusal(S3Sources(S3Client(), frozenset({"a-bucket", "b-bucket"})), "file:///etc/passwd")
    none = _refusal(S3Sources(S3Client(), frozenset()), "s3://a-bucket/model.onnx")
    assert (some.detail, none.detail) == (
        "'file:///etc/passwd' is not allowed; versions are imported from s3://a-bucket/, s3://b-bucket/",
        "'s3://a-bucket/model.onnx' is not allowed; versions are imported from nowhere: no bucket is allowed",
    )


def test_what_is_missing_or_forbidden_is_not_found(
    s3_server: S3Server, sources: S3Sources, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    stranger = S3Sources(S3Client(s3_server.endpoint_url), frozenset({BUCKET}))
    refusals = [_refusal(stranger, f"s3://{BUCKET}/{key}")]
    monkeypatch.undo()
    s3_server.give_credentials(monkeypatch)
    refusals += [_refusal(sources, f"s3://{BUCKET}/absent"), _refusal(sources, "s3://no-such-bucket/model.onnx")]
    words = "is not there, or the gateway may not read it: check bucket, key and policy"
    assert [type(refusal) for refusal in refusals] == [SourceNotFound] * 3
    assert refusals[1].detail == f"'s3://{BUCKET}/absent' {words}"


def test_a_large_object_is_refused_by_its_head(sources: S3Sources, key: str) -> None:
    refusal = _refusal(sources, f"s3://{BUCKET}/{key}", limit_bytes=len(CONTENT) - 1)
    assert (type(refusal), refusal.detail) == (
        BodyTooLarge,
        "the source is larger than 15 bytes, the most that is accepted",
    )


def test_an_object_that_changes_after_its_head_was_seen_is_not_read(
    s3_server: S3Server, client: S3Client, sources: S3Sources, key: str
) -> None:
    def overwrite(**_: Any) -> None:
        s3_server.client().put_object(Bucket=BUCKET, Key=key, Body=b"something else")

    client.reading_api.meta.events.register("before-call.s3.GetObject", overwrite)
    assert type(_refusal(sources, f"s3://{BUCKET}/{key}")) is SourceChanged


def test_of_a_bucket_with_versions_the_version_is_pinned(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_server.give_credentials(monkeypatch)
    owner, bucket = s3_server.client(), "with-versions"
    owner.create_bucket(Bucket=bucket)
    owner.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    owner.put_object(Bucket=bucket, Key="model.onnx", Body=CONTENT)
    client = S3Client(s3_server.endpoint_url)
    asked: list[dict[str, str]] = []
    client.reading_api.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: asked.append(params) and None
    )
    sources = S3Sources(client, frozenset({bucket}))
    assert b"".join(sources.open(f"s3://{bucket}/model.onnx", limit_bytes=LIMIT)) == CONTENT
    head = owner.head_object(Bucket=bucket, Key="model.onnx")
    pinned = {"Bucket": bucket, "Key": "model.onnx", "IfMatch": head["ETag"], "VersionId": head["VersionId"]}
    assert asked == [pinned]
