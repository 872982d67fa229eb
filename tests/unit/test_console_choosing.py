"""Which versions the console offers where one is to be chosen."""

from pathlib import Path

from gateway.web.console.moving import _choice
from registry.artifact import make_artifact
from tests.support.registries import NOON, digest_of, fresh_registry, make_inspection


def test_the_version_that_was_asked_for_is_offered_however_old_it_is(tmp_path: Path) -> None:
    with fresh_registry(tmp_path) as registry, registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        for number in range(203):
            artifact = make_artifact({"model.onnx": (digest_of(b"%d" % number), 1)})
            transaction.add_artifact(artifact, make_inspection(), at=NOON)
            transaction.add_version("iris", artifact, description="", tags={}, actor="ada", at=NOON)
        transaction.retire_version("iris", 2, actor="ada", at=NOON)
        asked = ("1", "203", "2", "x", "999999999999", None)
        offered = {text: [version.number for version in _choice(transaction, "iris", text)] for text in asked}
    newest = list(range(203, 3, -1))
    assert offered == {**dict.fromkeys(asked, newest), "1": [*newest, 1]}
