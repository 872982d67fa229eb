"""What loads, prepares, keeps and runs models: the serving side of the wiring."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from gateway.child_loading import ChildLoader
from gateway.codec.json_tensors import drop_parsers
from gateway.documents import DocumentFolder
from gateway.executors import Opened
from gateway.host import anonymous_bytes, return_free_memory
from gateway.input_board import InputBoard
from gateway.input_lines import lines_of_inputs
from gateway.loading import LOADS_AT_ONCE, Loader
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.serving.batching import BatchRules
from gateway.serving.cache_entry import Key
from gateway.serving.daemon_threads import DaemonThreads
from gateway.serving.deadlines import Watchdog
from gateway.serving.greed import Greed
from gateway.serving.input_samples import InputTap
from gateway.serving.input_watch import InputWatch
from gateway.serving.isolated import AnySession
from gateway.serving.isolating import Isolating
from gateway.serving.load_places import LoadPlaces
from gateway.serving.memory_guard import MemoryGuard
from gateway.serving.predictor import Predictor
from gateway.serving.preparing import Preparing, is_worth_preparing
from gateway.serving.priorities import LONG_NICENESS, SHADOW_NICENESS, give_way
from gateway.serving.proving import Proving
from gateway.serving.readings import (
    isolation_readings,
    preparing_readings,
    serving_readings,
    shadow_readings,
    thread_readings,
    worker_readings,
)
from gateway.serving.renewing import Renewing
from gateway.serving.residence import Residence
from gateway.serving.session_cache import SessionCache
from gateway.serving.shadowing import Shadowing
from gateway.serving.spare_threads import SpareThreads
from gateway.serving.store_watch import StoreWatch
from gateway.serving.trimming import Trimming
from gateway.settings import Settings
from gateway.trials import OURSELVES
from gateway.witness import CrashMemory, Witness, end_process, open_isolating
from registry.batching import Batching
from registry.editing import Editing
from registry.errors import (
    ModelNotFound,
    ServiceError,
    VersionNotFound,
    VersionRetired,
)
from registry.input_statistics import InputPlan, Reference
from registry.inspection.host import host_key, usable_cpus
from registry.records import Version
from registry.residency import Residency
from registry.standing import MEMORY

_FETCHING_THREADS = 8
_SPARE_RUN_THREADS = 2

_STOP_AGAIN_SECONDS = 10.0
_WIDE_SHARE = 8
"""Of the memory budget, the part that second sessions with several threads may take: one eighth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The parts of a worker that have to do with sessions."""

    cache: SessionCache[AnySession]
    predictor: Predictor
    shadowing: Shadowing
    input_watch: InputWatch | None
    """None where no inputs are looked at."""
    isolating: Isolating
    preparing: Preparing
    residence: Residence
    renewing: Renewing
    memory_guard: MemoryGuard
    witness: Witness
    """Looks as soon as it is started."""
    expect: Callable[[Version], int]
    """Tells how many bytes a version's session will take."""

    def start(self) -> None:
        """Begin what is done beside requests; ``renewing`` is to be closed."""
        self.shadowing.start()
        if self.input_watch is not None:
            self.input_watch.start()
        self.renewing.start()

    def tap_of(self, version: Version) -> InputTap | None:
        """Return where the requests of a version are offered to be looked at; None where nobody looks."""
        return None if self.input_watch is None else self.input_watch.tap_of(version)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a process is to whoever started it; see ``gateway.wiring.open_services``."""

    is_worker: bool
    crash_memory: CrashMemory | None
    ask_to_be_replaced: Callable[[], None]


def open_engine(
    opened: Opened,
    parts: Parts,
    metrics: Metrics,
    store_watch: StoreWatch,
    outside: Outside,
) -> Engine:
    """Make it; it ends with ``opened``."""
    is_worker = outside.is_worker
    settings = parts.settings
    is_loading = is_worker and settings.is_predicting
    loads = _open_load_places(opened, parts)
    isolating, witness = open_isolating(parts, outside.crash_memory, opened.executor(1, "tell-crashes"))

    reconsider = _on_loop(lambda version: predictor.reconsider(version))  # noqa: PLW0108 - these are made below
    renew = _on_loop(lambda version: cache.renew(version))  # noqa: PLW0108
    proving = _open_proving(opened, parts, reconsider, is_worker=is_worker)
    spare = _spare_threads(settings, proving)
    expect = _expectation(parts, spare)
    preparing = Preparing(parts.prepare, renew, opened.executor(1, "prepare") if is_loading else None)
    looking = opened.executor(1, "look")
    loader = Loader(
        parts,
        store_watch,
        preparing=preparing,
        proving=proving,
        places=loads,
        spare=spare,
        load_elsewhere=ChildLoader(parts, isolating, loads).load,
        marks=witness.marks,
        widening=opened.executor(1, "widen"),
    )
    cache: SessionCache[AnySession] = SessionCache(
        budget_bytes=settings.worker_budget_bytes,
        load=_noting(loader.load, lambda version: residence.note_load(version)),  # noqa: PLW0108 - it is made below
        executor=loads,
        freed=Trimming(return_free_memory, looking).ask,
        max_queue=settings.max_queue,
        expect=expect,
    )
    residence = _open_residence(opened, parts, cache, lambda key: predictor.forget(key))  # noqa: PLW0108 - as above
    predictor = _open_predictor(opened, parts, cache, proving, isolating, witness)
    isolating.start(predictor.displace)
    opened.push_async_callback(witness.close)
    opened.push_async_callback(cache.drain)  # first of all, while the watchdog still ends runs
    shadowing = _open_shadowing(opened, parts, cache, predictor)
    memory_guard = _memory_guard(settings, cache, looking, outside.ask_to_be_replaced)
    engine = Engine(
        cache=cache,
        predictor=predictor,
        isolating=isolating,
        shadowing=shadowing,
        input_watch=_open_input_watch(opened, parts, metrics),
        preparing=preparing,
        residence=residence,
        renewing=_renewing(parts, cache, looking),
        memory_guard=memory_guard,
        witness=witness,
        expect=expect,
    )
    _show(engine, spare, metrics, parts.settings)
    return engine


def _on_loop(work: Callable[[Version], object]) -> Callable[[Version], None]:
    """Return what has this done on the event loop; any thread may call it."""
    loop = asyncio.get_running_loop()

    def do(version: Version) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(work, version)

    return do


def _open_residence(
    opened: Opened, parts: Parts, cache: SessionCache[AnySession], forget: Callable[[Key], None]
) -> Residence:
    telling = opened.executor(1, "tell")
    records = Residency(parts.registry, parts.clock)
    return Residence(cache, records, executor=telling, actor=OURSELVES, forget=forget)


def _open_proving(opened: Opened, parts: Parts, reconsider: Callable[[Version], None], *, is_worker: bool) -> Proving:
    documents, executor = DocumentFolder(parts.settings.proofs_dir), opened.executor(1, "prove")
    return Proving(host_key(), documents, parts.inspect_again, reconsider, executor if is_worker else None)


def _renewing(parts: Parts, cache: SessionCache[AnySession], looking: Executor) -> Renewing:
    def is_prepared(version: Version) -> bool:
        return is_worth_preparing(version) and parts.prepared.has(version.artifact)

    return Renewing(cache, is_prepared=is_prepared, executor=looking)


def _noting(load: Callable[[Version], AnySession], note: Callable[[Version], None]) -> Callable[[Version], AnySession]:
    """Return what loads, and tells of each load that has succeeded."""

    def load_and_note(version: Version) -> AnySession:
        session = load(version)
        note(version)
        return session

    return load_and_note


def _show(engine: Engine, spare: SpareThreads, metrics: Metrics, settings: Settings) -> None:
    constant = tuple(worker_readings(settings))  # what it takes to find them out is not to be paid twice a second
    metrics.watch(lambda: constant)
    metrics.watch(lambda: serving_readings(engine.cache, engine.predictor, engine.memory_guard))
    metrics.watch(lambda: preparing_readings(engine.preparing))
    metrics.watch(lambda: isolation_readings(engine.isolating))
    metrics.watch(lambda: thread_readings(spare))
    metrics.watch(lambda: shadow_readings(engine.shadowing))


def _memory_guard(
    settings: Settings, cache: SessionCache[AnySession], looking: Executor, ask_to_be_replaced: Callable[[], None]
) -> MemoryGuard:
    return MemoryGuard(
        accounted=lambda: cache.resident_bytes,
        measure=anonymous_bytes,
        give_back=_give_back_memory,
        ask=ask_to_be_replaced,
        margin_bytes=settings.memory_margin_bytes,
        executor=looking,
    )


def _open_load_places(opened: Opened, parts: Parts) -> LoadPlaces:
    return LoadPlaces(
        [parts.prepared, parts.folders],
        parts.folders,
        near=opened.executor(LOADS_AT_ONCE, "load"),
        far=opened.executor(_FETCHING_THREADS, "fetch"),
    )


def _spare_threads(settings: Settings, proving: Proving) -> SpareThreads:
    share = max(1, usable_cpus() // settings.workers)
    return SpareThreads(
        host=host_key(),
        cpus=min(share, settings.run_threads or share),
        budget_bytes=settings.worker_budget_bytes // _WIDE_SHARE,
        find_report=proving.find_threads,
    )


def _give_back_memory() -> None:
    drop_parsers()
    return_free_memory()


def _open_predictor(
    opened: Opened,
    parts: Parts,
    cache: SessionCache[AnySession],
    proving: Proving,
    isolating: Isolating,
    witness: Witness,
) -> Predictor:
    places = usable_cpus()
    runs = opened.executor(places + _SPARE_RUN_THREADS, "run", niceness=LONG_NICENESS)
    watchdog = Watchdog(
        on_stuck=partial(end_process, witness), find_greedy=Greed(anonymous_bytes, parts.settings.run_memory_bytes)
    )
    watchdog.start()
    opened.callback(watchdog.close)
    return Predictor(
        cache,
        executor=runs,
        watchdog=watchdog,
        places=places,
        spare=_SPARE_RUN_THREADS,
        rules=BatchRules(host_key(), proving.find),
        on_difference=_batching_stopper(parts, opened.executor(1, "stop-batching")),
        isolation_of=isolating.of,
        look=witness.look,
        most_bytes=parts.settings.run_memory_bytes,
        on_greed=partial(witness.accuse_version, cause=MEMORY),
        max_queue=parts.settings.max_queue,
    )


def _open_shadowing(opened: Opened, parts: Parts, cache: SessionCache[AnySession], predictor: Predictor) -> Shadowing:
    shadowing = Shadowing(
        cache,
        parts.registry,
        running=DaemonThreads("shadow", partial(give_way, SHADOW_NICENESS)),
        writing=opened.executor(1, "shadow-report"),
        count_runs=lambda: predictor.stats.runs,
        is_running=lambda: predictor.is_running,
    )
    opened.push_async_callback(shadowing.close)
    return shadowing


def _open_input_watch(opened: Opened, parts: Parts, metrics: Metrics) -> InputWatch | None:
    if parts.settings.input_statistics == "off":
        return None

    def read(version: Version, plan: InputPlan) -> Reference | None:
        with parts.registry.reading() as catalog:
            examples = catalog.find_examples(version.model, version.number)
        return Reference.of(examples, plan)

    metrics.show(lines_of_inputs)
    watch = InputWatch(
        InputBoard(metrics.counts),
        read,
        running=opened.executor(1, "inputs", niceness=SHADOW_NICENESS),
        reading=opened.executor(1, "input-examples", niceness=SHADOW_NICENESS),
        wall_clock=lambda: parts.clock.now().timestamp(),
    )
    opened.push_async_callback(watch.close)
    return watch


def _batching_stopper(parts: Parts, executor: Executor) -> Callable[[Version], None]:
    """Return what has every worker stop sharing runs of a version, and the event say so; it does not give up."""
    loop = asyncio.get_running_loop()

    def stop(version: Version) -> None:
        try:
            editing = Editing(parts.registry, parts.clock)
            editing.change_version(version.model, version.number, batching=Batching.OFF, actor=OURSELVES)
        except (ModelNotFound, VersionNotFound, VersionRetired):
            return
        except ServiceError as error:
            structlog.get_logger().error("batching_not_stopped_elsewhere", code=error.code)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(loop.call_later, _STOP_AGAIN_SECONDS, submit, version)

    def submit(version: Version) -> None:
        with suppress(RuntimeError):  # the worker is ending
            executor.submit(stop, version)

    return submit


def _expectation(parts: Parts, spare: SpareThreads) -> Callable[[Version], int]:
    """Return what tells the memory that a version will take.

    It is less than inspection found, if it is prepared; and twice that, if some of its runs will have several threads.
    """

    def expect(version: Version) -> int:
        prepared_bytes = parts.prepared.memory_bytes(version.artifact)
        if prepared_bytes is None:
            return version.inspection.memory_bytes
        return prepared_bytes * (2 if spare.would_lend(version, prepared_bytes) else 1)

    return expect
