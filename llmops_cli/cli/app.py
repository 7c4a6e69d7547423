"""The `llmops` command. The only place that prints an error or exits."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from llmops_cli import __version__
from llmops_cli.cli.values import Command, CommandLine, Group
from llmops_cli.core.errors import (
    EnvironmentMissing,
    Interrupted,
    LlmopsError,
    Terminated,
    UsageError,
)
from llmops_cli.core.visible import visible

COMMANDS = {
    "train": "Train a causal language model, from scratch or further; the `demo` model by default.",
    "convert": "Write a model's weights in another format: GGUF, or a Hugging Face folder.",
    "quantize": "Make a model smaller, and measure what that cost.",
    "bench": "Load a server and report TTFT, TPOT, ITL, E2E, throughput, goodput and memory.",
    "plan": "Memory, speed and cost of a model before any is spent, with error bands.",
    "prompt": "Prompts as files, tried by technique over any endpoint, measured and exported.",
    "serve": "A gateway in front of an endpoint or an engine: keys, limits, guard, metrics, audit.",
    "deploy": "From gateway.yaml to manifests, images and monitoring; canaries of what runs.",
    "top": "What a gateway does now: traffic, latency, upstreams, keys, canaries.",
    "generate": "Ask a model every row of a file; the same command goes on after a kill.",
    "redteam": "Attack a served model, by default the demo, and measure how often that succeeds.",
    "run": "Run a recipe of steps (train, quantize, bench, evaluate); finished steps are kept.",
    "recipes": "The recipes that come with llmops, by name: list, show, copy.",
    "engines": "Which engine serves which formats and has which options.",
    "doctor": "What works on this machine, what doesn't, why, and what mends it.",
    "keys": "API keys of the gateway.",
    "state": "The gateway's keys, spending and audit log: saved, put back, checked.",
    "models": "Small real models by name: what there is, what is here, fetch, remove.",
    "guard": "Judge what goes into a model and what comes out of it.",
    "report": "Show, compare, export and gate saved runs.",
    "env": "Isolated Python environments, one per engine.",
}
"""In the order of the help. A command's line is the first one of its own help, a test says so."""

PROGRAM = "llmops"
HELP_COMMAND = "help"
COMPLETING = "_LLMOPS_COMPLETE"
LOG_FORMAT = "LLMOPS_LOG_FORMAT"
"""As runtime/log_lines.py has it, which is loaded only where it is wanted."""
"""The variable by which a shell asks for what could come next."""
HELP = "Train, quantize, serve, measure and compare language models over the real engines."
EXIT_CODES = (
    "Exit codes: 0 ok, 1 our bug, 2 usage, 3 environment, 4 engine failed, 5 gate failed, "
    "130 interrupted."
)


class Root(Group):
    """All commands by name and line; one that is not there yet is loaded when it is asked for."""

    def __init__(self, *, commands: Any = None, **rest: Any) -> None:  # Any: click's and Typer's
        loaded = commands or {}
        listed = {}
        for name, line in COMMANDS.items():
            listed[name] = loaded.get(name) or Command(name, help=line)
        super().__init__(commands=listed, **rest)
        self._loaded = set(loaded)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # Any: as above
        name = args[0]
        if name in COMMANDS and name not in self._loaded:
            other = typer.main.get_group(command_line([name]))
            self.commands[name] = other.commands[name]
        return super().resolve_command(ctx, args)


def command_line(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The commands of these names, each with the flags of its recipe; the others are listed."""
    app = CommandLine(
        name="llmops",
        cls=Root,
        help=HELP,
        add_completion=True,
        pretty_exceptions_enable=False,
        epilog=EXIT_CODES,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in names:
        import_module(f"llmops_cli.cli.{name}").register(app)
    return app


def _print_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"llmops {__version__}\n")
        raise typer.Exit


def _print_manual(value: bool) -> None:
    if value:
        from llmops_cli.cli.man import manual

        sys.stdout.write(manual())
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version.",
    ),
    man: bool = typer.Option(
        False,
        "--man",
        callback=_print_manual,
        is_eager=True,
        help="Print the manual page: llmops --man | man -l -",
    ),
) -> None:
    pass


def _named(arguments: Sequence[str]) -> Sequence[str]:
    """The command that is asked for; others need not be loaded."""
    if arguments and arguments[0] in COMMANDS:
        return arguments[:1]
    return ()


def _asked(arguments: Sequence[str]) -> list[str]:
    """`llmops help bench` is `llmops bench --help`."""
    if list(arguments[:1]) == [HELP_COMMAND]:
        return [*arguments[1:], "--help"]
    return list(arguments)


def _words() -> Sequence[str]:
    """What stands on the command line, or what a shell asks to complete, after the program."""
    if COMPLETING not in os.environ:
        return sys.argv[1:]
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return line.split()[1:]


MACHINE_FAULTS = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,  # no more processes or threads
        errno.EBADF,
        errno.EDQUOT,
        errno.EFBIG,  # ulimit -f
        errno.EIO,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOLCK,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
"""An operating system's errors that are the machine's, wherever in the code they come up."""
PATH_FAULTS = frozenset({errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENOTEMPTY})
"""Those of a path that names another kind of thing than what it is taken for: the user's."""


def main() -> NoReturn:
    """Runs the command line and ends the process with the documented exit code."""
    import signal

    signal.signal(signal.SIGTERM, _terminate)
    _open_streams()
    code = _run()
    # all is said; a second Ctrl-C must not change the exit code
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _run() -> int:
    try:
        app = command_line(_named(_asked(_words())))
        code = app(_asked(sys.argv[1:]), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        if code == Interrupted.exit_code:  # Typer keeps a Ctrl-C to itself, and says nothing
            raise Interrupted("interrupted")
    except LlmopsError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return _explain(Interrupted("interrupted"))
    except BrokenPipeError:
        _leave_stdout()
        return 0
    except OSError as error:
        return _of_the_system(error)
    except MemoryError:
        return _explain(EnvironmentMissing("out of memory", hint="free some, or ask for less"))
    except Exception as error:  # noqa: BLE001 - the one boundary
        return _unexpected(error)
    if not isinstance(code, int):
        return 0
    return code


def _open_streams() -> None:
    """What a terminal cannot show is escaped; a stream that is closed takes everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None and name == "stdout":
            sys.stdout = _Closed()
        elif stream is None:
            sys.stderr = _nowhere()
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Closed(io.TextIOBase):
    """A stdout that the caller closed: a result that goes there is lost, and that is said."""

    @property
    def buffer(self) -> NoReturn:
        raise _closed()

    def write(self, text: str, /) -> NoReturn:
        del text
        raise _closed()


def _closed() -> OSError:
    reason = os.strerror(errno.EBADF)
    return OSError(errno.EBADF, reason)


def _leave_stdout() -> None:
    """Nobody reads it, or it is full: the interpreter must not try to flush it at its end."""
    sys.stdout = _nowhere()


def _nowhere() -> TextIO:
    """A stream that takes everything, to the end of the process."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _of_the_system(error: OSError) -> int:
    """A path's own fault, the machine's, or a bug."""
    if error.errno in PATH_FAULTS and error.filename:
        return _explain(UsageError(_unusable(error)))
    if _is_nowhere(error):
        gone = EnvironmentMissing("the folder that this runs in is gone", hint="cd to another one")
        return _explain(gone)
    if error.errno not in MACHINE_FAULTS:
        return _unexpected(error)
    _leave_stdout()
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space"
    return _explain(EnvironmentMissing(_unusable(error), hint=hint))


def _is_nowhere(error: OSError) -> bool:
    """Whether there is no folder any more that relative paths are of."""
    if error.errno != errno.ENOENT:
        return False
    try:
        os.getcwd()  # noqa: PTH109 - the same, and asked for its error alone
    except FileNotFoundError:
        return True
    return False


def _unusable(error: OSError) -> str:
    place = "output"
    if error.filename:
        place = str(error.filename)
    reason = str(error)
    if error.errno:
        reason = os.strerror(error.errno)
    return f"cannot use {place}: {reason}"


def _terminate(_signal: int, _frame: object) -> None:
    raise Terminated


def _explain(error: LlmopsError) -> int:
    with suppress(OSError):  # a full or closed stderr must not change the exit code
        sys.stderr.write(_explanation(_told(error.message), _told(error.hint or "")))
        sys.stderr.flush()
    return error.exit_code


def _told(words: str) -> str:
    """What a user typed for a model or a file may be an address with a password."""
    from llmops_cli.core.urls import without_secrets

    return visible(without_secrets(words))


def _explanation(message: str, hint: str) -> str:
    if os.environ.get(LOG_FORMAT) == "json":
        from llmops_cli.runtime.log_lines import line_of

        return f"{line_of(message, level='error', hint=hint)}\n"
    return f"error: {message}\nhint: {hint}\n" if hint else f"error: {message}\n"


def _unexpected(error: Exception) -> int:
    """Usage errors of the command-line library keep its words.

    Anything else is our bug and goes to a log.
    """
    import click

    if isinstance(error, click.exceptions.Abort):
        return _explain(Interrupted("interrupted"))
    # typer carries its own copy of click's classes in some versions, so duck-type on what we need
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else _called()
        help_line = f"{command} --help"
        message = error.format_message()
        return _explain(UsageError(message, hint=help_line))
    kind = type(error).__name__
    message = f"bug in llmops: {kind}: {error}"
    hint = f"the traceback is in {_crash_log()}"
    return _explain(LlmopsError(message, hint=hint))


def _called() -> str:
    """The command of the line, where the parser did not come so far as to tell."""
    words = [PROGRAM]
    command: Any = None  # Any: click's and Typer's
    for word in sys.argv[1:]:
        if command is None and word in COMMANDS:
            command = typer.main.get_group(command_line([word])).commands[word]
        else:
            command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        words.append(word)
    return " ".join(words)


def _crash_log() -> Path:
    """Where the traceback of the error that is being handled was written."""
    import tempfile
    import traceback

    from llmops_cli.runtime.paths import cache_dir

    text = traceback.format_exc()
    try:
        folder = cache_dir() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "crash.log"
        log.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, LlmopsError):
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="llmops-crash-",
            suffix=".log",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
            log = Path(file.name)
    return log
