from pathlib import Path

from tests.support.environments import STAMP, make_environment


def test_an_environment_that_has_what_is_required_is_not_made_again(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("nothing==1.0\n")
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / STAMP).write_bytes(requirements.read_bytes())
    assert make_environment(folder, requirements) == folder / "bin" / "python"
