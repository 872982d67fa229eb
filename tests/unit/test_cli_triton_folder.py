"""Triton's model repositories: what is found in them, what is left out, and what nobody may smuggle in."""

from pathlib import Path

import pytest

from gateway.cli.imports import OtherKind, Unreadable
from gateway.cli.text_format import MAX_TEXT_BYTES
from gateway.cli.triton_folder import TritonModel, read_repository
from tests.support.scaling import scaling_bytes, write_two_files

GRAPH = scaling_bytes(2)


def put(root: Path, model: str, *versions: int | str, config: str | None = None) -> Path:
    for version in versions:
        folder = root / model / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(GRAPH)
    (root / model).mkdir(exist_ok=True)
    if config is not None:
        (root / model / "config.pbtxt").write_text(config)
    return root / model


def only(root: Path) -> TritonModel:
    (model,) = read_repository(root)
    return model


def test_versions_come_in_the_order_of_their_numbers_and_others_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "dense", 10, 2, "007", "next", "0")

    model = only(tmp_path)

    assert (list(model.candidates), sorted(model.served), model.fault) == ([2, 10], [10], None)
    assert model.candidates[2].source == "dense/2"
    assert model.candidates[2].tags == {"triton.model": "dense", "triton.version": "2"}


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [3]),
        ("version_policy { latest { num_versions: 2 } }", [2, 3]),
        ("version_policy: { all { } }", [1, 2, 3]),
        ("version_policy { specific { versions: [1, 9] } }", [1]),
        ("version_policy { latest { num_versions: 99999999999999999999 } }", [3]),
    ],
    ids=["none", "latest", "all", "specific", "no number"],
)
def test_the_policy_says_what_triton_would_serve(tmp_path: Path, policy: str, served: list[int]) -> None:
    put(tmp_path, "dense", 1, 2, 3, config=policy)

    assert sorted(only(tmp_path).served) == served


def test_what_the_configuration_says_is_kept_or_named(tmp_path: Path) -> None:
    config = """
        platform: "onnxruntime_onnx"  max_batch_size: 8  dynamic_batching { }
        input { name: "x" dims: [4] reshape { shape: [2, 2] } }
        output { name: "y" label_filename: "labels.txt" }
    """
    (put(tmp_path, "Dense Net", 1, config=config) / "labels.txt").write_text("cat\n dog \n\n")

    model = only(tmp_path)

    assert (model.folder, model.name, model.ignored) == (
        "Dense Net",
        "dense-net",
        ("dynamic_batching", "input.reshape"),
    )
    assert model.candidates[1].tags == {
        "triton.model": "Dense Net",
        "triton.version": "1",
        "triton.max_batch_size": "8",
        "triton.labels.y": "cat,dog",
    }


def test_a_graph_may_be_a_folder_with_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "big" / "1" / "model.onnx"
    folder.mkdir(parents=True)
    graph, weights = write_two_files(folder, 2)
    graph.rename(folder / "model.onnx")

    assert [path.name for path in only(tmp_path).candidates[1].files] == ["model.onnx", weights.name]


@pytest.mark.parametrize(
    "config", ['backend: "tensorrt"', 'platform: "ensemble"', None], ids=["tensorrt", "ensemble", "no version"]
)
def test_what_is_no_onnx_model_is_left_out(tmp_path: Path, config: str | None) -> None:
    put(tmp_path, "other", *([1] if config else []), config=config)

    assert isinstance(only(tmp_path).fault, OtherKind)


@pytest.mark.parametrize(
    "config",
    [
        'default_model_filename: "../../secret"',
        'default_model_filename: "/etc/passwd"',
        'default_model_filename: ".."',
        'output { name: "y" label_filename: "../../secret" }',
        "name: ",
        "#" * (MAX_TEXT_BYTES + 1),
        "a {" * 100,
    ],
    ids=["up", "absolute", "dots", "labels", "malformed", "huge", "deep"],
)
def test_a_configuration_that_leads_elsewhere_or_is_none_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "secret").write_text("secret")
    put(tmp_path / "repository", "bad", 1, config=config)

    fault = only(tmp_path / "repository").fault

    assert (isinstance(fault, Unreadable), isinstance(fault, OtherKind)) == (True, False)


@pytest.mark.parametrize("place", ["bad", "bad/1", "bad/1/model.onnx", "bad/config.pbtxt"])
def test_a_link_out_of_the_repository_is_refused(tmp_path: Path, place: str) -> None:
    outside = put(tmp_path / "outside", "bad", 1, config="")
    repository = tmp_path / "repository"
    put(repository, "bad", 1, config="")
    inside, target = repository / place, outside.parent / place
    inside.rename(tmp_path / "moved")
    inside.symlink_to(target)

    fault = only(repository).fault

    assert (type(fault), "leads out of" in str(fault)) == (Unreadable, True)


def test_a_link_to_weights_outside_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "big" / "1"
    folder.mkdir(parents=True)
    graph, weights = write_two_files(folder, 2)
    graph.rename(folder / "model.onnx")
    weights.rename(tmp_path / "secret")
    weights.symlink_to(tmp_path / "secret")

    assert "leads out of" in str(only(tmp_path / "repository").fault)


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (put(tmp_path, "bad", 1) / "config.pbtxt").symlink_to(tmp_path / "nowhere")

    assert only(tmp_path).fault is not None
