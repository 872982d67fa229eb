"""The fenced blocks of the documentation, and what running one takes.

A page fits in as follows. Each block has a label: what is labelled ``python``, ``console``, ``sh`` or ``bash`` is run
(``tests/e2e/test_docs_run.py``), or stands in ``NOT_RUN`` with a reason; ``json`` is read as JSON, and ``text`` is what
nobody types. Words beside a command are comments. What a page names that a test has not (an id, an address, a folder)
has a stand-in there, and a command that would take long gets a shorter way.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
_FOLDERS = ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/**/*.md", "bench/**/*.md")
PAGES = tuple(sorted(str(path.relative_to(ROOT)) for pattern in _FOLDERS for path in ROOT.glob(pattern)))

RUN = frozenset({"python", "console", "bash", "sh"})
"""What a block has to be called to be run."""
SHOWN = frozenset({"json", "text"})
"""What may be called otherwise, and is not run."""

_NETWORK: Final = "installs from the network what the tests have already"
_CONTAINERS: Final = "needs Docker"
NOT_RUN: Final = {
    "README.md, A first session, 1": "tests/e2e/test_readme.py types it, against `make run` itself",
    "docs/administrators.md, Models of other servers, 2": "needs an MLflow server: tests/clients/test_mlflow_server.py",
    "docs/administrators.md, The registry in PostgreSQL, 1": (
        "serves until it is ended, on a database: tests/e2e/test_postgres_gateway.py"
    ),
    "docs/administrators.md, Artifacts in S3, 1": "needs a bucket: tests/e2e/test_s3_gateway.py",
    "docs/administrators.md, Plan hosts, 1": "takes minutes: tests/e2e/test_plans_of_logs.py plans a log",
    "docs/administrators.md, Traces, 1": f"{_NETWORK}: tests/e2e/test_traces_arrive.py",
    "docs/benchmarks.md, Benchmarks, 1": "takes an hour, and loads 2.5 GB",
    "docs/data-scientists.md, Import from a bucket, 1": "needs a bucket: tests/e2e/test_s3_gateway.py",
    "docs/deploy.md, As an image, 1": f"{_CONTAINERS}: tests/house/test_deploy.py holds the files to the code",
    "docs/deploy.md, With compose, 1": f"{_CONTAINERS}: tests/house/test_deploy.py holds the files to the code",
    "docs/deploy.md, Under systemd, 1": "changes the machine: tests/house/test_deploy.py holds the unit to the code",
    "docs/deploy.md, On Kubernetes, 1": "needs a cluster: tests/house/test_deploy.py holds the manifests to the code",
    "docs/first-model.md, 2. What trains models, 1": _NETWORK,
    "docs/protocols/grpc.md, The Open Inference Protocol over gRPC, 1": (
        "a client in an environment of its own: tests/clients/test_triton_grpc_client.py"
    ),
    "docs/protocols/open-inference.md, Open Inference Protocol, version 2, over REST, 1": (
        "a client in an environment of its own: tests/clients/test_triton_http_client.py"
    ),
    "docs/scale.md, The planner, 1": "takes minutes: tests/unit/test_cli_plan.py plans less",
    "docs/webhooks.md, A receiver, 1": "serves until it is ended: tests/e2e/test_webhooks.py runs it and sends to it",
}
"""Blocks that are not run, and why."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^[ \t>]*(?:```|~~~).*$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_IN_PROSE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: under which heading it stands, the how manieth there, and what is in it."""

    page: str
    heading: str
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """``docs/callers.md, Predict, 1``."""
        return f"{self.page}, {self.heading}, {self.number}"

    @property
    def is_run(self) -> bool:
        """Whether a test runs it as the page shows it."""
        return self.language in RUN and self.name not in NOT_RUN


@dataclass(frozen=True, slots=True)
class Typed:
    """A line of a console block, and what is printed then; nothing where the page does not show it."""

    command: str
    prints: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, of whatever language."""
    text = _read(page)
    counts: dict[str, int] = {}
    for found in _BLOCK.finditer(text):
        before = _HEADING.findall(_BLOCK.sub("", text[: found.start()]))
        heading = before[-1] if before else ""
        counts[heading] = counts.get(heading, 0) + 1
        yield Block(page=page, heading=heading, number=counts[heading], language=found[1], text=found[2])


def odd_fences(page: str) -> list[str]:
    """Return the fences that belong to no block as ``blocks`` reads them: indented, quoted, of waves, never closed."""
    return _FENCE.findall(_BLOCK.sub("", _read(page)))


def prose_code(page: str) -> list[str]:
    """Return what a page's prose has between backquotes."""
    return [" ".join(code.split()) for code in _IN_PROSE.findall(_BLOCK.sub("", _read(page)))]


def typed(block: Block) -> list[Typed]:
    """Return the lines of a console block that are typed."""
    steps = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [Typed(*step.split("\n", 1)) for step in steps]


def script(block: Block) -> str:
    """Return what a block of the shell has its reader type."""
    return "\n".join(step.command for step in typed(block)) if block.language == "console" else block.text


def _read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")
