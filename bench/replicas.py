"""Three gateways behind a hash, beside one with the memory of all three, and beside round robin: `make bench-replicas`.

1. Three hosts (network namespaces) have a gateway each, with room for 60 models; HAProxy, PostgreSQL and an S3 server
   are real. 300 models are registered: small ones, so that a cold load is what a miss costs.
2. The same seeded sequence of requests, by the law of Zipf at a steady pace, is asked three times, each time of fresh
   gateways: of one with room for 180, of three behind the hash, of three behind round robin.
3. The hit rate is the gateways' own: leases of sessions that were loaded, of all leases. Empty caches count as well.
4. `sardonyx plan` is told what the single gateway has logged, and by the registry what models take, and plans the three
   places.
5. Wrong are: any answer but 200; a hit rate behind the hash that is more than three points below the single gateway's;
   one that beats round robin by five points less than planned, or not at all.

The load takes three times five minutes.
"""

import argparse
import asyncio
import json
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.replicas_hits import EXPONENT, RATE, Asked, ask_all, sequence_of
from bench.replicas_network import Host, gateway_host
from bench.replicas_proxy import configuration, round_robin, running_proxy
from bench.replicas_world import BUDGET, REGISTRY, Uploaded, World, register_all, world
from bench.report import write_results
from bench.servers import CACHE, ServerFailedError, end_tidily, running
from bench.soak_models import perceptron
from examples import first_run
from gateway.serving.cache_entry import MIN_SESSION_BYTES

MODEL_COUNT = 300
ROOM = 60
GATEWAYS = tuple(map(gateway_host, (1, 2, 3)))
MOST_POINTS = 3.0
PLANNED_POINTS = 5.0
"""How exact a plan is."""
LAYERS = (32, 64, 8)
ACCESS_LOG = CACHE / "replicas-access.jsonl"
"""What the single gateway of the last run has logged: the planner can be asked about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the sequence has come to in one place."""

    name: str
    budget_bytes: int
    """Of each gateway."""
    balance_factor: int
    """As the proxy's configuration has it; 0 for none."""
    requests: int
    failures: Mapping[str, int]
    hits: Mapping[str, int]
    """By gateway, as the following."""
    misses: Mapping[str, int]
    evictions: Mapping[str, int]
    resident: Mapping[str, int]
    """Sessions that were loaded at the end."""
    p50_ms: float
    p99_ms: float
    late_seconds: float

    @property
    def hit_rate(self) -> float:
        """In percent."""
        hits = sum(self.hits.values())
        return 100 * hits / (hits + sum(self.misses.values()))

    def __str__(self) -> str:
        requests = [self.hits[name] + self.misses[name] for name in self.hits]
        return (
            f"{self.name:12} hit rate {self.hit_rate:6.2f} %, {sum(self.misses.values())} cold loads, "
            f"{sum(self.evictions.values())} evictions, loaded {list(self.resident.values())}; "
            f"leases by gateway {requests}; p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, "
            f"at most {self.late_seconds:.2f} s behind; failures {sum(self.failures.values())} {self.failures or ''}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the models and requests (drawn)")
    parser.add_argument("--seconds", type=int, default=300, help="how long each of three runs takes (300)")
    parser.add_argument("--balance-factor", type=int, help="as deploy print has it (its own)")
    parser.add_argument("--keep", action="store_true", help="write bench/results")
    options = parser.parse_args()
    end_tidily()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sardonyx-replicas-") as name:
        try:
            with world(Path(name), GATEWAYS) as made:
                runs = list(run_all(made, options.seed, options.seconds, options.balance_factor))
                planned = plan_all(made, runs)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    content = {**vars(options), "models": MODEL_COUNT, "room": ROOM, "rate": RATE, "exponent": EXPONENT}
    shown = [{**asdict(run), "hit_rate": run.hit_rate} for run in runs]
    print(write_results("replicas", {**content, "runs": shown, "planned": planned}, is_kept=options.keep))
    return judge(runs, planned)


def run_all(made: World, seed: int, seconds: float, balance_factor: int | None) -> Iterator[Run]:
    """Yield what becomes of one gateway, of the hash and of round robin, in this order."""
    models = [f"model-{number:03}" for number in range(MODEL_COUNT)]
    uploaded = [Uploaded(name=name, contents=[perceptron(place, LAYERS)]) for place, name in enumerate(models)]
    measured = [max(MIN_SESSION_BYTES, size) for size in asyncio.run(register_all(made, uploaded))]
    each_bytes = sum(measured) / len(measured)
    print(f"{MODEL_COUNT} models of {min(measured)} to {max(measured)} bytes, {each_bytes:.0f} on average", flush=True)
    names = sequence_of(models, seed=seed, count=int(seconds * RATE))
    words = [] if balance_factor is None else ["--balance-factor", str(balance_factor)]
    three = configuration(GATEWAYS, REGISTRY, *words)
    for name, hosts, room, text in (
        ("one", GATEWAYS[:1], ROOM * len(GATEWAYS), configuration(GATEWAYS[:1], REGISTRY)),
        ("hash", GATEWAYS, ROOM, three),
        ("round robin", GATEWAYS, ROOM, round_robin(three)),
    ):
        run = run_one(made, name, hosts, names, budget_bytes=int(room * each_bytes), text=text)
        print(run, flush=True)
        yield run


def run_one(
    made: World, name: str, hosts: Sequence[Host], names: Sequence[str], *, budget_bytes: int, text: str
) -> Run:
    """Have fresh gateways serve the sequence."""
    for host in hosts:
        made.log_of(host).unlink(missing_ok=True)
    with ExitStack() as opened:
        gateways = [made.start(host, {BUDGET: str(budget_bytes)}) for host in hosts]
        for gateway in gateways:
            opened.enter_context(running(gateway))
        proxy = opened.enter_context(running_proxy(made.folder, text))
        proxy.wait_until(lambda states: set(states.values()) == {"UP"})
        asked = asyncio.run(ask_all(made, names, {"inputs": {"x": np.full((1, LAYERS[0]), 0.5).tolist()}}))
        counted = {host.name: made.counted(host) for host in hosts}
    if len(hosts) == 1:
        shutil.copy(made.log_of(hosts[0]), ACCESS_LOG)
    factor = re.search(r"hash-balance-factor (\d+)", text)
    return sum_up(name, asked, counted, budget_bytes=budget_bytes, balance_factor=int(factor[1]) if factor else 0)


def sum_up(
    name: str, asked: Asked, counted: Mapping[str, Mapping[str, float]], *, budget_bytes: int, balance_factor: int
) -> Run:
    def of_each(metric: str) -> dict[str, int]:
        return {host: int(values[metric]) for host, values in counted.items()}

    p50, p99 = np.percentile(asked.seconds, (50, 99)) * 1000 if asked.seconds else (0.0, 0.0)
    return Run(
        name=name,
        budget_bytes=budget_bytes,
        balance_factor=balance_factor,
        requests=len(asked.seconds),
        failures=dict(asked.failures),
        hits=of_each("sardonyx_cache_hits_total"),
        misses=of_each("sardonyx_cache_misses_total"),
        evictions=of_each("sardonyx_cache_evictions_total"),
        resident=of_each("sardonyx_resident_sessions"),
        p50_ms=round(float(p50), 3),
        p99_ms=round(float(p99), 3),
        late_seconds=round(asked.late_seconds, 3),
    )


def plan_all(made: World, runs: Sequence[Run]) -> dict[str, float]:
    """Return the hit rates that the planner expects of the same requests, in percent, by the runs' names."""
    names: dict[str, float] = {}
    for run in runs:
        balance = "round-robin" if run.name == "round robin" else "hash"
        words = ["--hosts", str(len(run.hits)), "--memory", str(run.budget_bytes), "--balance", balance]
        words += ["--balance-factor", str(run.balance_factor)]
        names[run.name] = 100 * plan(made, words)
        print(f"{run.name:12} planned {names[run.name]:6.2f} %", flush=True)
    return names


def plan(made: World, words: Sequence[str]) -> float:
    """Return the hit rate that the planner expects, asking the registry what models take."""
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "plan", "--log", str(ACCESS_LOG), "--url", made.url_of(REGISTRY), "--json", *words]
    done = subprocess.run(command, env={"SARDONYX_TOKEN": made.token}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailedError(f"plan: {done.stderr}")
    rate: float = json.loads(done.stdout)["plans"][0]["hit_rate"]
    return rate


def judge(runs: Sequence[Run], planned: Mapping[str, float]) -> int:
    """Print how they compare and return the exit code."""
    one, hashed, spread = runs
    behind, ahead = one.hit_rate - hashed.hit_rate, hashed.hit_rate - spread.hit_rate
    wanted = planned["hash"] - planned["round robin"]
    print(f"behind one gateway by {behind:.2f} points (at most {MOST_POINTS})")
    print(f"ahead of round robin by {ahead:.2f} points, planned were {wanted:.2f}")
    failures = sum(sum(run.failures.values()) for run in runs)
    is_ahead = ahead > 0 and ahead >= wanted - PLANNED_POINTS
    return 0 if behind <= MOST_POINTS and is_ahead and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
