import threading

from gateway.serving.deadlines import Watchdog


class Run:
    """Counts how often it was asked to stop."""

    def __init__(self) -> None:
        self.cancelled_count = 0
        self.is_for_memory = False
        self.was_cancelled = threading.Event()

    def cancel(self, *, is_for_memory: bool = False) -> None:
        self.is_for_memory = is_for_memory
        self.cancelled_count += 1
        self.was_cancelled.set()


class Kennel:
    """A watchdog whose clock is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stuck_count = 0
        self.watchdog = Watchdog(on_stuck=self._count, clock=lambda: self.now)

    def _count(self, thread: int) -> None:
        assert thread == threading.get_ident()
        self.stuck_count += 1

    def look_at(self, now: float) -> None:
        self.now = now
        self.watchdog.look()


def test_a_run_is_cancelled_once_when_its_deadline_has_passed() -> None:
    kennel, run = Kennel(), Run()
    kennel.watchdog.watch().run = (101.0, run, True)
    seen = []
    for now in (100.9, 101.0, 101.5):
        kennel.look_at(now)
        seen.append(run.cancelled_count)
    assert seen == [0, 1, 1]


def test_a_run_that_does_not_stop_is_reported_once_after_the_grace() -> None:
    kennel, run = Kennel(), Run()
    kennel.watchdog.watch().run = (101.0, run, True)
    seen = []
    for now in (103.0, 103.25, 103.5, 103.75, 104.0, 104.25):  # late: the grace counts from the cancellation
        kennel.look_at(now)
        seen.append(kennel.stuck_count)
    assert seen == [0, 0, 0, 0, 1, 1]


def test_a_run_in_a_process_that_stood_still_has_time_to_hear_that_it_is_cancelled() -> None:
    kennel, run = Kennel(), Run()
    kennel.watchdog.watch().run = (101.0, run, True)
    seen = []
    for now in (101.0, 109.0, 109.25, 109.5, 109.75):
        kennel.look_at(now)
        seen.append(kennel.stuck_count)
    assert seen == [0, 0, 0, 0, 1]


def test_the_next_run_in_the_same_slot_has_its_own_deadline_and_grace() -> None:
    kennel, first, second = Kennel(), Run(), Run()
    watch = kennel.watchdog.watch()
    watch.run = (101.0, first, True)
    kennel.look_at(101.0)
    watch.run = None
    kennel.look_at(105.0)
    watch.run = (105.5, second, True)
    kennel.look_at(105.2)
    kennel.look_at(105.5)
    kennel.look_at(106.0)
    assert (first.cancelled_count, second.cancelled_count, kennel.stuck_count) == (1, 1, 0)


def test_each_thread_has_its_own_slot_and_all_are_watched() -> None:
    kennel, here, there = Kennel(), Run(), Run()
    kennel.watchdog.watch().run = (101.0, here, True)

    def run_there() -> None:
        kennel.watchdog.watch().run = (101.0, there, True)

    thread = threading.Thread(target=run_there)
    thread.start()
    thread.join()
    kennel.look_at(102.0)
    assert (here.cancelled_count, there.cancelled_count) == (1, 1)
    assert kennel.watchdog.watch() is kennel.watchdog.watch()


def test_the_thread_looks_by_itself_until_it_is_closed() -> None:
    watchdog, run = Watchdog(on_stuck=lambda _: None, poll_seconds=0.001), Run()
    watchdog.start()
    watchdog.watch().run = (0.0, run, True)
    assert run.was_cancelled.wait(10)
    watchdog.close()
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}


def test_closing_a_watchdog_that_never_started_is_fine() -> None:
    Watchdog(on_stuck=lambda _: None).close()


def test_a_run_that_takes_too_much_memory_is_cancelled_for_that() -> None:
    greedy, modest = Run(), Run()
    watchdog = Watchdog(on_stuck=lambda _: None, find_greedy=lambda runs: [run for run in runs if not run[2]])
    watchdog.watch().run = (1e9, greedy, False)

    def run_there() -> None:
        watchdog.watch().run = (1e9, modest, True)

    thread = threading.Thread(target=run_there)
    thread.start()
    thread.join()
    watchdog.look()
    assert (greedy.cancelled_count, greedy.is_for_memory, modest.cancelled_count) == (1, True, 0)
