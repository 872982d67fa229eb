"""The deaths of `make chaos` on the embedded parts, two of them: each point has its line there."""

from contextlib import closing
from pathlib import Path

from bench.deaths import POINTS, Point, examine
from bench.dying_world import World
from tests.support.backend import embedded_only

pytestmark = embedded_only


def point(deed: str, where: str) -> Point:
    (found,) = (each for each in POINTS[deed] if each.where == where)
    return found


def test_who_dies_while_writing_has_written_nothing_and_can_try_again(tmp_path: Path) -> None:
    with closing(World(tmp_path, {})) as world:
        orders = world.orders("register")
        assert examine(world, orders, point("register", "all is written, nothing committed")) == []
        orders = world.orders("promote", version=1)
        assert examine(world, orders, point("promote", "the move is there, its event is not")) == []
