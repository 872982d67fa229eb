"""Every fenced block of the documentation is labelled and counted, and every command that it names is one.

What can be run is run: ``tests/e2e/test_docs_run.py``.
"""

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from gateway.cli.app import app
from tests.support.command_lines import parse
from tests.support.doc_blocks import NOT_RUN, PAGES, ROOT, RUN, SHOWN, Block, blocks, odd_fences, prose_code, script

BLOCKS = [block for page in PAGES for block in blocks(page)]

_COMMAND = re.compile(r"(?<![\w:-])(?:sardonyx +(?=[a-z])|(?<!/)sardonyx +(?=--))([^|&;#)\n]*)")
"""A command of ours wherever it stands in a line, up to what the shell takes for itself."""


def commands(text: str) -> list[list[str]]:
    return [shlex.split(found.split(" > ")[0]) for found in _COMMAND.findall(text)]


def unknown_words(words: list[str]) -> Iterator[str]:
    """Yield what is no command and no option of a command that prose names, perhaps without its arguments."""
    command: Any = typer.main.get_command(app)
    left = list(words)
    while hasattr(command, "commands") and left and not left[0].startswith("-"):
        if left[0] not in command.commands:
            yield left[0]
            return
        command = command.commands[left.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    yield from (word for word in left if word.startswith("-") and word.partition("=")[0] not in known)


def test_every_block_says_what_it_is() -> None:
    assert [block.name for block in BLOCKS if block.language not in RUN | SHOWN] == []


def test_there_are_no_fences_but_those_that_are_counted() -> None:
    assert {page: found for page in PAGES if (found := odd_fences(page))} == {}


def test_what_is_not_run_is_there_to_be_run() -> None:
    assert {block.name for block in BLOCKS if block.language in RUN} >= set(NOT_RUN)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.name in NOT_RUN], ids=lambda block: block.name)
def test_what_is_not_run_can_at_least_be_read(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
    else:
        subprocess.run(["/bin/bash", "-n"], input=script(block), text=True, check=True, capture_output=True)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=lambda block: block.name)
def test_what_is_json_reads_as_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_block_shows_is_one(page: str) -> None:
    for words in (words for block in blocks(page) for words in commands(block.text)):
        parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_prose_names_is_one(page: str) -> None:
    named = [words for code in prose_code(page) for words in commands(code)]
    assert [(words, unknown) for words in named for unknown in unknown_words(words)] == []


def test_what_make_is_asked_for_it_can_do() -> None:
    asked = {
        target
        for page in PAGES
        for text in (*(block.text for block in blocks(page)), *prose_code(page))
        for target in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    }
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert asked - targets == set()


@pytest.mark.parametrize("words", ["promot iris 3", "promote iris 3 --dry", "promote iris three", "webhook show"])
def test_a_command_that_is_none_is_found(words: str) -> None:
    (found,) = commands(f"$ sardonyx {words}    # what it does")
    with pytest.raises(Exception, match=r"No such|a valid integer|Missing parameter"):
        parse(found)


@pytest.mark.parametrize("words", ["promot iris", "promote iris --dry", "webhook make", "--versions"])
def test_a_name_that_is_none_is_found(words: str) -> None:
    (found,) = commands(f"sardonyx {words}")
    assert len(list(unknown_words(found))) == 1
