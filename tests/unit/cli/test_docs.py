"""Every `llmops` command that README and docs show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from llmops_cli.cli.app import command_line

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^(?: {4}|\$ )?\s*(?:[A-Z_]+=\S*\s+)*llmops (.*)$")
INLINE = re.compile(r"`llmops ([^`]+)`")
ENDS = frozenset({"|", "||", "&&", "&", ";", ">", ">>", "<", "2>", "2>&1"})
STANDS_FOR_ANOTHER = re.compile(r"[A-Z]+")
"""Such as N, MODEL or TOKENS: a number is right for each of them."""
LACKING = ("Missing ", "requires an argument")
"""A command in running text may leave out what everybody knows that it needs."""


def commands_in(text: str) -> Iterator[str]:
    """What stands behind `llmops`, of blocks and of running text."""
    is_fenced = False
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
            continue
        match = CODE.match(line)
        if match and (is_fenced or line.startswith(("    ", "$ "))):
            yield match[1]
            continue
        yield from INLINE.findall(line)


def words_of(command: str) -> list[str]:
    """Up to a pipe, a redirection or the end of the command."""
    told = shlex.split(command, comments=True)
    words = ["1" if STANDS_FOR_ANOTHER.fullmatch(word) else word for word in told]
    for number, word in enumerate(words):
        if word in ENDS:
            return words[:number]
        if word.endswith(";"):
            return [*words[:number], word.removesuffix(";")]
    return words


def mistake_in(root: Any, words: list[str]) -> str | None:  # Any: Typer's own click
    """What the command line says of it, short of running it."""
    command = root
    context = None
    rest = words
    try:
        while True:
            context = command.make_context("llmops", list(rest), parent=context)
            if not hasattr(command, "resolve_command"):
                return None
            below = [*getattr(context, "_protected_args", []), *context.args]
            if not below:
                return None
            _name, command, rest = command.resolve_command(context, below)
    except typer.Exit:
        return None
    except SystemExit as ended:
        return f"exit {ended.code}" if ended.code else None
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        said = str(error.format_message())
        return None if any(words in said for words in LACKING) else said


@pytest.fixture(scope="module")
def root() -> Any:  # Any: Typer's own click
    return typer.main.get_command(command_line())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page: Path, root: Any) -> None:
    wrong = []
    for command in commands_in(page.read_text()):
        mistake = mistake_in(root, words_of(command))
        if mistake:
            wrong.append(f"llmops {command}: {mistake}")
    assert not wrong, "\n".join(wrong)


def test_a_command_that_does_not_exist_is_found(root: Any) -> None:
    page = (
        "    llmops bench --backend sim\n    llmops bench --bakend sim | head\ntry `llmops bnch`\n"
    )
    found = [mistake_in(root, words_of(command)) for command in commands_in(page)]
    assert found[0] is None
    assert "No such option" in str(found[1])
    assert "No such command" in str(found[2])
