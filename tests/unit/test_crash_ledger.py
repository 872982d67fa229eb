"""What a dead worker's ledger tells: which version it has died of, or whom it may have died of."""

import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from gateway.evidence import Accusation, AnswerTimes, Evidence, LastWords, crashed_threads, judge
from gateway.ledger import Ledger, Mark, Marks
from registry.standing import Stage


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create()
    yield made
    for descriptor in made.descriptors:
        os.close(descriptor)


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    made = Evidence.create()
    yield made
    for descriptor in made.descriptors:
        os.close(descriptor)


def let_die(ledger: Ledger, evidence: Evidence, how: str) -> list[Accusation]:
    """Have a process die, and return whom its death is laid to, without its process id."""
    numbers = [":".join(map(str, part.descriptors)) for part in (ledger, evidence)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.dying_worker", *numbers, how],
        pass_fds=(*ledger.descriptors, *evidence.descriptors),
    )
    code = process.wait(60)
    return judge(ledger, process.pid, code, evidence.words_since(0)[0])


def names(accusations: list[Accusation]) -> list[tuple[str, str, bool]]:
    return [(accused.model, accused.cause, accused.is_certain) for accused in accusations]


def test_the_thread_that_crashed_tells_whose_it_was(ledger: Ledger, evidence: Evidence) -> None:
    assert names(let_die(ledger, evidence, "crash")) == [("guilty", "SIGSEGV", True)]


def test_where_no_thread_tells_all_who_were_inside_are_suspects(ledger: Ledger, evidence: Evidence) -> None:
    assert names(let_die(ledger, evidence, "kill")) == [("innocent", "SIGKILL", False), ("guilty", "SIGKILL", False)]


def test_one_alone_is_but_a_suspect_where_somebody_may_have_killed_the_worker(
    ledger: Ledger, evidence: Evidence
) -> None:
    assert names(let_die(ledger, evidence, "alone")) == [("guilty", "SIGKILL", False)]


def test_nobody_is_accused_of_a_worker_that_has_left_by_itself(ledger: Ledger, evidence: Evidence) -> None:
    assert let_die(ledger, evidence, "leave") == []


def test_one_alone_is_guilty_of_a_signal_that_nobody_sends_from_outside(ledger: Ledger) -> None:
    marks = Marks(ledger)
    marks.words[marks.take_slot()] = marks.number(("lonely", 3))
    assert names(judge(ledger, 1, -8, b"")) == [("lonely", "SIGFPE", True)]


def test_a_ledger_shows_what_each_thread_does_and_forgets_it_when_it_is_cleared(ledger: Ledger) -> None:
    marks = Marks(ledger)
    slot = marks.take_slot()
    marks.words[slot] = marks.number(("iris", 3)) | 1
    own = threading.get_ident()
    assert ledger.standing() == [Mark(thread=own, key=("iris", 3), stage=Stage.LOAD)]
    assert marks.key_of(marks.mark_of(own)) == ("iris", 3)
    marks.words[slot] = 0
    assert ledger.standing() == []
    marks.words[slot] = marks.number(("iris", 3))
    ledger.clear()
    assert ledger.standing() == []


def test_threads_that_have_ended_leave_their_slots_to_others(ledger: Ledger) -> None:
    marks = Marks(ledger)
    slots: list[int] = []
    for _ in range(5):
        thread = threading.Thread(target=lambda: slots.append(marks.take_slot()))
        thread.start()
        thread.join()
    assert len(set(slots)) == 1


def test_a_version_has_one_number_however_often_it_is_asked_for(ledger: Ledger) -> None:
    marks = Marks(ledger)
    assert marks.number(("a", 1)) == marks.number(("a", 1))
    assert marks.number(("a", 2)) != marks.number(("a", 1))


def test_what_a_crashing_worker_says_is_seen_without_asking_the_kernel(ledger: Ledger, evidence: Evidence) -> None:
    words = LastWords(evidence)
    assert not words.are_new()
    let_die(ledger, evidence, "crash")
    assert words.are_new()
    assert len(crashed_threads(words.read())) == 1
    assert not words.are_new()


def accusation(model: str) -> Accusation:
    return Accusation(pid=7, model=model, version=1, stage=Stage.RUN, cause="hang", is_certain=True)


def test_each_accusation_is_told_once_and_again_where_telling_fails(evidence: Evidence) -> None:
    evidence.accuse([accusation("a"), accusation("b")])
    assert not evidence.is_told()
    told: list[str] = []

    def tell(accused: Accusation) -> bool:
        told.append(accused.model)
        return len(told) != 2  # the registry goes away

    assert not evidence.tell(tell)
    assert not evidence.is_told()
    assert evidence.tell(tell)
    assert evidence.is_told()
    evidence.accuse([accusation("c")])
    assert evidence.tell(tell)
    assert told == ["a", "b", "b", "c"]


def test_who_has_to_accuse_somebody_does_not_wait_for_a_registry_that_is_slow(evidence: Evidence) -> None:
    evidence.accuse([accusation("a")])
    code = (
        "import sys; from gateway.evidence import *; from registry.standing import Stage;"
        "Evidence(*map(int, sys.argv[1:])).accuse("
        "[Accusation(pid=8, model='b', version=1, stage=Stage.RUN, cause='hang', is_certain=True)])"
    )

    def tell(_: Accusation) -> bool:
        command = [sys.executable, "-c", code, *map(str, evidence.descriptors)]
        subprocess.run(command, pass_fds=evidence.descriptors, check=True, timeout=20)
        return True

    assert evidence.tell(tell)
    assert [accused.model for accused in evidence.accused_since(0)[0]] == ["a", "b"]
    assert not evidence.is_told()


def test_threads_of_one_worker_do_not_write_over_each_others_accusations(evidence: Evidence) -> None:
    def accuse(name: str) -> None:
        for number in range(200):
            evidence.accuse([accusation(f"{name}{number}")])

    threads = [threading.Thread(target=accuse, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(evidence.accused_since(0)[0]) == 800


def test_what_has_been_said_is_read_without_reading_what_has_not(evidence: Evidence) -> None:
    said = b"Current thread 0x12 " * 20_000  # longer than what is read at once
    os.write(evidence.words, said)
    tracemalloc.start()
    assert evidence.words_since(0) == (said, len(said))
    assert evidence.words_since(len(said)) == (b"", len(said))
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_who_has_been_accused_can_be_read_from_any_point_on(evidence: Evidence) -> None:
    evidence.accuse([accusation("a")])
    first, end = evidence.accused_since(0)
    evidence.accuse([accusation("b")])
    second, _ = evidence.accused_since(end)
    assert (first, second) == ([accusation("a")], [accusation("b")])


def test_answers_are_seen_by_all_who_share_the_evidence(evidence: Evidence) -> None:
    AnswerTimes(evidence).note(("iris", 3), 12.5)
    assert (AnswerTimes(evidence).of(("iris", 3)), AnswerTimes(evidence).of(("iris", 4))) == (12.5, 0.0)
