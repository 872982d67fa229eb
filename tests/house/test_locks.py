"""What is pinned is new enough, allowed by what the package asks for, and all there is."""

from packaging.requirements import Requirement
from packaging.version import Version

from tests.supply_chain.locks import RUNNING, TESTING, declared, read_lock

FLOORS = {
    "grpcio": ("1.65.4", "CVE-2024-7246, CVE-2024-11407: another client's headers; data that change on their way"),
    "h11": ("0.16.0", "CVE-2025-43859: a request smuggled in a chunk"),
    "idna": ("3.7", "CVE-2024-3651: quadratic time"),
    "mako": ("1.2.2", "CVE-2022-40023: a regular expression without end"),
    "onnx": ("1.21.0", "CVE-2026-34445, -34446, -34447: foreign attributes, hard links and symlinks of external data"),
    "onnxruntime": ("1.32.0", "no advisories are published: the version that the hostile files were tried on"),
    "orjson": ("3.11.6", "CVE-2024-27454, CVE-2025-67221: depth without a limit"),
    "protobuf": ("6.33.5", "CVE-2025-4565, CVE-2026-0994: depth without a limit"),
    "pygments": ("2.15.0", "CVE-2022-40896: a regular expression without end"),
    "pyyaml": ("5.4", "CVE-2020-14343: code in a document"),
    "setuptools": ("78.1.1", "CVE-2025-47273: a path out of the folder"),
    "starlette": (
        "1.0.1",
        "CVE-2026-48710, CVE-2025-62727, CVE-2025-54121: a host that changes the path; ranges; forms",
    ),
    "urllib3": ("2.7.0", "CVE-2026-21441, -44431, -44432: bodies inflated without a limit, and where a redirect leads"),
}
"""The lowest version that may be pinned, and why."""

MAY_NOT_COME_IN = {
    "python-multipart": "nothing here reads forms (CVE-2024-24762, CVE-2024-53981)",
    "cloudpickle": "nothing here is unpickled",
    "dill": "nothing here is unpickled",
    "joblib": "nothing here is unpickled",
    "requests": "it follows redirects unless told otherwise",
    "torch": "its files are pickles",
}
"""What the gateway runs without, and why it stays so."""


def lowest_version(wanted: Requirement) -> Version:
    return max(Version(part.version) for part in wanted.specifier if part.operator in {">=", "=="})


def test_no_pin_is_older_than_the_cure_of_a_known_fault() -> None:
    pins = read_lock(RUNNING)
    assert [name for name, (floor, _) in FLOORS.items() if Version(pins[name]) < Version(floor)] == []


def test_what_is_asked_for_by_name_cannot_be_older_either() -> None:
    lowest = {name: lowest_version(wanted) for name, wanted in declared().items() if name in FLOORS}
    assert {name for name, version in lowest.items() if version < Version(FLOORS[name][0])} == set()


def test_what_takes_bytes_from_outside_is_asked_for_by_name() -> None:
    assert {"h11", "onnx", "onnxruntime", "orjson", "protobuf", "starlette", "urllib3"} <= set(declared())


def test_every_pin_is_what_the_package_asks_for() -> None:
    pins = read_lock(RUNNING)
    assert [name for name, wanted in declared().items() if not wanted.specifier.contains(pins[name])] == []


def test_what_may_not_come_in_has_not() -> None:
    assert set(MAY_NOT_COME_IN) & (set(read_lock(RUNNING)) | set(declared())) == set()


def test_nothing_is_pinned_twice() -> None:
    assert set(read_lock(RUNNING)) & set(read_lock(TESTING)) == set()
