"""Who owns a key on the ring, and who has it when the owner is full or down."""

import numpy as np
import pytest

from gateway.placement.ring import Ring, Server, avalanche, hash_of, hashes_of

FOUR = [Server(name=name, id=number) for number, name in enumerate("abcd", 1)]
KEYS = [f"model-{number}:1" for number in range(1000)]


def test_the_avalanche_is_bob_jenkins_with_a_prime_behind_it() -> None:
    assert [avalanche(number) for number in (0, 1, 4096, 0xFFFFFFFF)] == [
        2874071335,
        881230262,
        1237450891,
        2120532354,
    ]  # as a C compiler reckons it


def test_many_keys_have_the_hashes_that_each_has_alone() -> None:
    assert hashes_of(KEYS).tolist() == [hash_of(key) for key in KEYS]


def test_many_keys_belong_to_whom_each_belongs_alone() -> None:
    ring = Ring(FOUR)
    owners = ring.owners_at(ring.places_of(hashes_of(KEYS)))
    assert [FOUR[index] for index in owners] == [ring.owner(key) for key in KEYS]


def test_neither_order_nor_names_move_a_key() -> None:
    renamed = [Server(name=server.name.upper(), id=server.id) for server in reversed(FOUR)]
    assert [Ring(renamed).owner(key).id for key in KEYS] == [Ring(FOUR).owner(key).id for key in KEYS]


def test_owners_are_those_who_get_a_key_one_after_another_as_they_fill_up() -> None:
    ring = Ring(FOUR, balance_factor=101)
    loads: dict[str, int] = {}
    found = []
    for _ in FOUR:
        found.append(ring.owner(KEYS[0], loads))
        loads[found[-1].name] = 1000
    assert tuple(found) == ring.owners(KEYS[0], 4)


def test_there_are_no_more_owners_than_servers() -> None:
    assert sorted(server.name for server in Ring(FOUR).owners(KEYS[0], 9)) == ["a", "b", "c", "d"]


def test_without_loads_nobody_is_passed_over() -> None:
    assert Ring(FOUR, balance_factor=101).owner(KEYS[0]) == Ring(FOUR).owner(KEYS[0])


def test_where_a_sum_of_32_bits_goes_round_all_are_full_and_the_last_place_has_the_request() -> None:
    ring = Ring(FOUR, balance_factor=65535)
    loads = {"a": 16385, "b": 16384, "c": 16384, "d": 16384}
    last = ring.servers[int(ring.owners_at(np.array([-1]))[0])]
    assert [ring.first_with_room(place, list(loads.values()), 65537) for place in (0, 4095)] == [None, None]
    assert {ring.owner(key, loads) for key in KEYS[:20]} == {last}


def test_a_server_of_no_weight_gets_nothing() -> None:
    drained = [*FOUR[:3], Server(name="d", id=4, weight=0)]
    assert [Ring(drained).owner(key) for key in KEYS] == [Ring(FOUR, down={"d"}).owner(key) for key in KEYS]


def test_shares_are_what_many_keys_find() -> None:
    ring = Ring([Server(name="small", id=1, weight=16), Server(name="large", id=2, weight=48)])
    keys = hashes_of([f"m{number}:1" for number in range(100_000)])
    found = np.bincount(ring.owners_at(ring.places_of(keys))) / len(keys)
    assert np.abs(found - ring.shares()).max() < 0.01
    assert ring.shares().sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("servers", "options"),
    [
        ([], {}),
        (FOUR, {"down": "abcd"}),
        ([FOUR[0], Server(name="a", id=2)], {}),
        ([FOUR[0], Server(name="b", id=1)], {}),
        ([Server(name="a", id=0)], {}),
        ([Server(name="a", id=1, weight=257)], {}),
        (FOUR, {"balance_factor": 100}),
    ],
    ids=["none", "none is up", "one name", "one id", "no id", "too heavy", "no room for anybody"],
)
def test_what_haproxy_would_not_take_is_refused(servers: list[Server], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"server|ids|percentage"):
        Ring(servers, **options)  # type: ignore[arg-type]
