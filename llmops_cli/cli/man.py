"""The manual page of all commands, made from them: `llmops --man | man -l -`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from llmops_cli.cli.app import EXIT_CODES, HELP, PROGRAM, command_line
from llmops_cli.cli.variables import OF_A_FIELD, VARIABLES

COLUMNS = 100
ORDER = (
    "A value comes from the nearest of: the flag, the environment variable, the recipe file, the "
    "default. Data goes to stdout, words go to stderr."
)
ENVIRONMENT = {
    OF_A_FIELD: "The value of a field of a command's recipe: LLMOPS_BENCH_CONCURRENCY.",
    **VARIABLES,
}


def manual() -> str:
    """The page, in man's macros."""
    app = typer.main.get_command(command_line())
    parts = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM}" "User Commands"',
        ".SH NAME",
        f"{PROGRAM} \\- {_text(HELP[0].lower() + HELP[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {PROGRAM}\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        _text(HELP),
        _text(ORDER),
        ".SH COMMANDS",
        *_commands(app, PROGRAM),
        ".SH EXIT STATUS",
        _text(EXIT_CODES),
        ".SH ENVIRONMENT",
        *[f".TP\n.B {name}\n{_text(words)}" for name, words in ENVIRONMENT.items()],
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _commands(command: Any, path: str) -> Iterator[str]:  # Any: click's, of which Typer has a copy
    """Each with its options, those below it after it."""
    context = command.context_class(command, info_name=path, terminal_width=COLUMNS)
    if path != PROGRAM:
        yield f".SS {_text(path)}"
        yield _text(command.help or "")
        yield from _options(command, context)
    below = dict(getattr(command, "commands", {}))
    for name in getattr(command, "functions", {}):
        below[name] = command.subcommand(name)
    for name, each in below.items():
        yield from _commands(each, f"{path} {name}")


def _options(command: Any, context: Any) -> Iterator[str]:  # Any: as above
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in record[0]:
            continue
        names, words = record
        yield f".TP\n.B {_text(names)}\n{_text(words)}"


def _text(words: str) -> str:
    """One line of words, in which nothing is a macro or an escape."""
    line = " ".join(words.split())
    line = line.replace("\\", "\\(rs").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{line}" if line.startswith(".") else line
