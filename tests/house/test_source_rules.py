"""What model servers have had to mend, and may not come in here: each rule bites, and the sources keep it."""

import re
from collections.abc import Iterator

import pytest

from tests.supply_chain import path_rules, source_rules
from tests.supply_chain.locks import ROOT
from tests.supply_chain.source_rules import RULES

PACKAGES = ("gateway", "registry", "model_store", "migrations", "examples")

BROKEN = {
    "no code in data": [
        "import pickle",
        "from marshal import loads",
        "import joblib as j; j.load(path)",
        "from torch import load",
        "import yaml; yaml.load(text)",
    ],
    "no code in text": ["eval(text)", "exec(text)", "__import__(name)", "import builtins; builtins.exec(text)"],
    "no shell": [
        "import os; os.system(line)",
        "from os import popen",
        "import subprocess; subprocess.run(line, shell=True)",
        "import subprocess as s; s.Popen(f'cat {name}')",
        "import asyncio; asyncio.create_subprocess_shell(line)",
        "start(line, shell=is_easy)",
    ],
    "no arrays that are objects": [
        "import numpy as np; np.load(file)",
        "from numpy import load",
        "from numpy.lib import format",
        "read(file, allow_pickle=True)",
    ],
    "no archives": [
        "import tarfile",
        "import shutil; shutil.unpack_archive(path)",
        "archive.extractall(folder)",
        "zipfile.ZipFile(file).extract(name)",
    ],
    "no external data by onnx": [
        "import onnx; onnx.load(path)",
        "from onnx import load as read; read(path)",
        "import onnx; onnx.load(path, load_external_data=True)",
        "import onnx; onnx.load_model(path)",
    ],
    "no onnx that fetches, converts or merges": [
        "from onnx import hub",
        "import onnx; onnx.version_converter.convert_version(model, 21)",
        "import onnx.external_data_helper",
    ],
    "no session of bytes": [
        "import onnxruntime; onnxruntime.InferenceSession(content)",
        "import onnxruntime as ort; ort.InferenceSession(model.SerializeToString(), options)",
        "from onnxruntime import InferenceSession; InferenceSession(path_or_bytes=path)",
    ],
    "no library, binding or pointer given to the runtime": [
        "options.register_custom_ops_library(path)",
        "session.io_binding()",
        "from onnxruntime import IOBinding",
        "getattr(options, 'register_custom_ops_library')(path)",
    ],
    "no library by name": [
        "import ctypes; ctypes.CDLL(path)",
        "import importlib; importlib.import_module(name)",
    ],
    "no decision on a URL that holds a Host": [
        "if request.url.path.startswith('/health'): pass",
        "link = request.base_url",
    ],
    "no forms": ["form = request.form()", "from fastapi import UploadFile", "import fastapi; fastapi.Form()"],
    "no files by URL": ["from starlette.responses import FileResponse", "import starlette.staticfiles"],
    "no redirects": [
        "import fastapi; fastapi.FastAPI()",
        "client(follow_redirects=True)",
        "import urllib.request",
        "from urllib import request",
    ],
    "no messages out of JSON": ["from google.protobuf.json_format import Parse"],
}

HARMLESS = """
import asyncio, ctypes, os, subprocess, zipfile
import fastapi, numpy as np, onnx, onnxruntime
requests = [1]
requests.append(evaluate(requests))
model.eval()
subprocess.run(["cat", name], shell=False)
subprocess.run([sys.executable, "-m", "gateway.worker"])
onnx.load(path, load_external_data=False)
onnxruntime.InferenceSession(str(path), options)
ctypes.CDLL(None).malloc_trim(0)
np.frombuffer(data, dtype)
np.save(file, array, allow_pickle=False)
zipfile.ZipFile(file).open(info)
fastapi.FastAPI(redirect_slashes=False)
wires[name].form(headers)
request.scope["path"]
"""

BUILDING = {
    "from pathlib import Path\ndef f(name): return root / name": ["f"],
    "from pathlib import Path\ndef f(name): return root / f'{name}.onnx'": ["f"],
    "import pathlib as p\nclass C:\n  def g(self, name): return p.Path(name)": ["g"],
    "def f(name): return folder.joinpath('a', name)": ["f"],
    "def f(name): return open(name)": ["f"],
    "import os\ndef f(name): return os.open(name, os.O_RDONLY)": ["f"],
    "import os\ndef f(name): return os.path.join('/models', name)": ["f"],
    "from pathlib import Path\nHERE = Path(given)": ["<module>"],
    "from pathlib import Path\ndef f(path: Path): return open(path)": [],
    "from pathlib import Path\ndef f(path: Path): return path / 'model.onnx' / _WEIGHTS": [],
    "from pathlib import Path\ndef f(a, b): return a / max(1, b)": [],
    "def f(a, b): return a / b": [],
}


def sources(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def test_every_rule_has_something_that_breaks_it() -> None:
    assert BROKEN.keys() == RULES.keys()


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in BROKEN for source in BROKEN[rule]])
def test_a_rule_bites(rule: str, source: str) -> None:
    assert {broken for broken, _ in source_rules.find(source)} == {rule}


def test_what_only_looks_alike_passes() -> None:
    assert list(source_rules.find(HARMLESS)) == []


def test_the_sources_keep_every_rule_but_where_it_was_looked_at() -> None:
    found = {(name, rule) for name, source in sources(PACKAGES) for rule, _ in source_rules.find(source)}
    assert found == set(source_rules.REVIEWED)


@pytest.mark.parametrize("source", list(BUILDING))
def test_a_path_that_is_built_of_what_is_not_constant_is_seen(source: str) -> None:
    assert list(path_rules.building(source)) == BUILDING[source]


def test_every_place_that_builds_a_path_was_looked_at() -> None:
    found = {
        f"{name}::{function}"
        for name, source in sources(("gateway", "registry", "model_store"))
        if not name.startswith(("gateway/cli/", "gateway/client/"))
        for function in path_rules.building(source)
    }
    assert found == set(path_rules.REVIEWED)


def test_every_session_is_told_to_read_no_other_format() -> None:
    telling = 'add_session_config_entry("session.load_model_format", "ONNX")'
    options = {name: source.count("onnxruntime.SessionOptions()") for name, source in sources(PACKAGES)}
    told = {name: source.count(telling) for name, source in sources(PACKAGES)}
    assert {name: count for name, count in options.items() if count} == {
        name: count for name, count in told.items() if count
    }
    without = [
        name for name, source in sources(PACKAGES) if re.search(r"InferenceSession\([^,()]*(\(\w*\))?\)", source)
    ]
    assert without == []
