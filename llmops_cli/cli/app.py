"""The `llmops` command. The only place that prints an error or exits."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import typer

from llmops_cli import __version__
from llmops_cli.core.errors import Interrupted, LlmopsError

COMMANDS = (
    "train",
    "quantize",
    "bench",
    "serve",
    "top",
    "keys",
    "redteam",
    "guard",
    "report",
    "run",
    "engines",
    "env",
    "doctor",
)

app = typer.Typer(
    name="llmops",
    help="Train, quantize, serve, measure and compare language models over the real engines.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 ok, 1 our bug, 2 usage, 3 environment, 4 engine failed, 5 gate failed, "
    "130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"llmops {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


for _name in COMMANDS:
    import_module(f"llmops_cli.cli.{_name}").register(app)


def main() -> NoReturn:
    """Runs the command line and ends the process with the documented exit code."""
    import signal

    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except LlmopsError as error:
        code = _explain(error)
    except KeyboardInterrupt:
        code = _explain(Interrupted("interrupted"))
    except BrokenPipeError:
        code = 0
        sys.stderr.close()
    except Exception as error:  # noqa: BLE001 - the one boundary
        code = _unexpected(error)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # all is said; a second Ctrl-C must not change the exit code
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _explain(error: LlmopsError) -> int:
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return error.exit_code


def _unexpected(error: Exception) -> int:
    """Usage errors of the command-line library keep its words.

    Anything else is our bug and goes to a log.
    """
    import click

    if isinstance(error, click.exceptions.Abort):
        return _explain(Interrupted("interrupted"))
    # typer carries its own copy of click's classes in some versions, so duck-type on what we need
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        sys.stderr.write(f"error: {error.format_message()}\n")
        context = getattr(error, "ctx", None)
        if context is not None:
            sys.stderr.write(f"hint: {context.command_path} --help\n")
        return 2
    import tempfile
    import traceback
    from pathlib import Path

    from llmops_cli.runtime.paths import cache_dir

    text = traceback.format_exc()
    try:
        folder = cache_dir() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "crash.log"
        log.write_text(text)
    except OSError:
        with tempfile.NamedTemporaryFile(
            "w", prefix="llmops-crash-", suffix=".log", delete=False
        ) as file:
            file.write(text)
            log = Path(file.name)
    sys.stderr.write(
        f"error: bug in llmops: {type(error).__name__}: {error}\nhint: the traceback is in {log}\n"
    )
    return 1
