"""The command line as a newcomer meets it: help, start-up cost, wrong input and its exit code."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from llmops_cli.cli.app import command_line
from llmops_cli.cli.reference import RECIPES
from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import choices_of, flags_of
from llmops_cli.core.names import load_object
from llmops_cli.engines.options import Dtype
from tests.conftest import Cli

GOLDEN = Path(__file__).parent.parent / "golden" / "help"


def commands(command: Any, path: str = "") -> Iterator[str]:
    """Every command and subcommand of the app, found by walking it."""
    yield path
    below = [*getattr(command, "commands", {}), *getattr(command, "functions", {})]
    for name in below:
        found = getattr(command, "commands", {}).get(name) or command.subcommand(name)
        yield from commands(found, f"{path} {name}".strip())


APP = typer.main.get_command(command_line())
COMMANDS = sorted(commands(APP))
SAVED_RUN = GOLDEN.parent / "reports" / "llmops.bench-2.json"


def help_text(command: str) -> str:
    argv = [*command.split(), "--help"]
    run = CliRunner().invoke(command_line(()), argv, prog_name="llmops", terminal_width=100)
    assert run.exit_code == 0, run.output
    return run.output


def golden_file(command: str) -> Path:
    return GOLDEN / f"{command.replace(' ', '-') or 'llmops'}.txt"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_golden_one(command: str) -> None:
    """A flag is a deliberate change: python -m tests.integration.test_cli"""
    assert help_text(command) == golden_file(command).read_text()


def test_a_command_that_is_not_loaded_is_listed_with_its_own_line_and_found() -> None:
    """As when all are loaded, also behind a `--`."""
    run = CliRunner().invoke(command_line(), ["--help"], prog_name="llmops", terminal_width=100)
    assert run.output == golden_file("").read_text()
    argv = ["--", "guard", "check", "--help"]
    run = CliRunner().invoke(command_line(()), argv, prog_name="llmops", terminal_width=100)
    assert run.output == golden_file("guard check").read_text()


@pytest.mark.parametrize("command", ["", "bench", "keys create"])
def test_help_is_a_word_too(command: str, cli: Cli) -> None:
    asked = cli("help", *command.split())
    flagged = cli(*command.split(), "--help")
    assert (asked.returncode, asked.stdout) == (0, flagged.stdout)


@pytest.mark.parametrize("group", ["", "keys", "models", "report"])
def test_the_name_alone_of_several_commands_shows_them_and_is_no_error(
    group: str,
    cli: Cli,
) -> None:
    bare = cli(*group.split())
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == cli(*group.split(), "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("llmops rec", "recipes"),
        ("llmops bench --conc", "--concurrency"),
        ("llmops keys c", "create"),
    ],
    ids=["command", "flag", "subcommand"],
)
def test_shells_complete_commands_and_flags(
    line: str,
    offered: str,
    shell: str,
    cli: Cli,
) -> None:
    word = len(line.split()) - 1
    asked = {
        "_LLMOPS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(word),
    }
    if shell != "bash":
        asked = {**asked, "_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    completed = cli(env=asked)
    assert completed.returncode == 0
    assert offered in completed.stdout


def test_no_golden_help_is_of_a_command_that_is_gone() -> None:
    assert {path.name for path in GOLDEN.glob("*.txt")} == {golden_file(c).name for c in COMMANDS}


def test_help_loads_nothing_heavy_and_costs_little_cpu() -> None:
    code = (
        "import sys\nsys.argv=['llmops','--help']\nfrom llmops_cli.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = set(run.stdout.split("LOADED", 1)[1].split())
    heavy = {
        "rich",
        "pydantic",
        "asyncio",
        "aiohttp",
        "http",
        "urllib3",
        "requests",
        "httpx",
        "torch",
        "llama_cpp",
    }
    assert not loaded & heavy
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert (
        cpu_s < 1.0
    )  # a guard against a heavy import; the figure itself is measured in benchmarks/


def test_a_group_lists_its_commands_without_their_flags() -> None:
    code = (
        "import sys\nsys.argv=['llmops','prompt','--help']\nfrom llmops_cli.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('LOADED', *[m for m in sys.modules if m.startswith('llmops_cli.prompt')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, _, loaded = run.stdout.partition("LOADED")
    assert all(name in shown for name in ("run", "eval", "optimize", "export"))
    assert not loaded.strip()


@pytest.mark.parametrize(
    ("args", "code", "message", "hint"),
    [
        (["keys", "create", "--name"], 2, "requires an argument", "llmops keys create --help"),
        (["bench", "--concurrency"], 2, "requires an argument", "llmops bench --help"),
        (
            ["bench", "--backend", "lamacpp"],
            2,
            "unknown backend 'lamacpp'",
            "did you mean 'llamacpp'?",
        ),
        (["quantize", "--method", "gguff"], 2, "unknown method 'gguff'", "did you mean 'gguf'?"),
        (["quantize", "--scheme", "Q4_KM"], 2, "unknown scheme 'Q4_KM'", "did you mean 'Q4_K_M'?"),
        (["quantize", "nowhere/at/all"], 2, "no model at nowhere/at/all", "a folder, a .gguf file"),
        (["quantize", "."], 2, "has no config.json", "Hugging Face model folder"),
        (["quantize", "--scheme", ""], 2, "--scheme '' names nothing", "leave it out"),
        (
            ["quantize", "--sweep", "int4", "--method", "gguf"],
            2,
            "--method gguf has no effect",
            "--sweep gguf,int4",
        ),
        (["quantize", "-o", "/dev/null"], 2, "/dev/null is a file", "-o names a folder"),
        (["quantize", "-o", "/dev/null/x"], 2, "/dev/null is a file", "-o names a folder"),
        (["redteam", "-o", "/dev/null"], 2, "/dev/null is a file", "-o names a folder"),
        (["run", "quickstart", "-o", "/dev/null"], 2, "/dev/null is a file", "-o names a folder"),
        (["quantize", "--imatrix", "/nope"], 2, "--imatrix: no file at /nope", "auto or none"),
        (["quantize", "--eval-text", "no.txt"], 2, "--eval-text: no file at no.txt", ""),
        (
            ["quantize", "--calibration", "multilingal"],
            2,
            "--calibration multilingal: no such text",
            "did you mean 'multilingual'?",
        ),
        (["bench", "--concurrency", "0"], 2, "'0': must be a whole number from 1 to 20,000", ""),
        (["bench", "--concurrency", "1,x"], 2, "from 1 to 20,000, not 'x'", ""),
        (["top", "--every", "x"], 2, "'--every': must be a number of at least 0.2, not 'x'", ""),
        (
            ["top", "--every", "0.1"],
            2,
            "must be a number of at least 0.2, not '0.1'",
            "",
        ),
        (["serve", "--port", "x"], 2, "'--port': must be a whole number, not 'x'", ""),
        (["serve", "--config", "no.yaml"], 2, "no gateway file at no.yaml", "copy gateway"),
        (
            ["keys", "create", "--name", "x", "--config", "no.yaml"],
            2,
            "no gateway file at no.yaml",
            "copy gateway",
        ),
        (
            ["bench", "--set", "quueue=3"],
            2,
            "unknown engine option 'quueue'",
            "did you mean 'queue'?",
        ),
        (["bench", "--set", "queue"], 2, "not key=value", ""),
        (["bench", "--url", "ftp://x"], 2, "is no http(s) URL", "--url http://"),
        (
            ["bench", "--url", "http://127.0.0.1:9"],
            3,
            "nothing answers at http://127.0.0.1:9",
            "--url",
        ),
        (["run", "no.yaml"], 2, "no recipe at no.yaml", "quickstart"),
        (["run", "gateway"], 2, "is no recipe of llmops run", "llmops serve --config gateway"),
        (["bench", "--recipe", "train-demo"], 2, "is no recipe of llmops bench", "llmops train"),
        (["bench", "--backend", "sim", "-o", "/proc/x"], 3, "cannot write /proc/x", "-o"),
        (
            ["bench", "--url", "http://me:pw@127.0.0.1:9"],
            2,
            "a password in --url",
            "environment variable",
        ),
        (
            ["bench", "--backend", "sim", "--body", "api_key=x"],
            2,
            "a secret in a body",
            "LLMOPS_API_KEY",
        ),
        (
            ["bench", "--backend", "sim", "--header", "Authorization: x"],
            2,
            "would be saved in the report",
            "$MY_SECRET",
        ),
        (
            ["bench", "--backend", "sim", "--header", "X-A: $NOT_SET"],
            3,
            "NOT_SET is not set",
            "export NOT_SET",
        ),
        (
            ["bench", "--backend", "sim", "--rate", "5", "--burst", "3"],
            2,
            "are two loads",
            "one of them",
        ),
        (
            ["bench", "--backend", "sim", "--concurrency", "4", "--arrival", "gamma"],
            2,
            "--arrival has no effect: only loads with a rate",
            "--rate",
        ),
        (
            ["bench", "--backend", "sim", "--input-tokens", "gauss:5"],
            2,
            "unknown length distribution",
            "known:",
        ),
        (
            ["bench", "--backend", "sim", "--slo", "ttft_p95"],
            2,
            "is no objective",
            "ttft_p95=200ms",
        ),
        (
            ["convert", "demo", "--scheme", "Q4_K_M"],
            2,
            "llmops quantize makes the smaller types",
            "F16",
        ),
        (["bench", "--backend", "sim", "--search"], 2, "--search needs objectives", "--slo"),
        (
            ["bench", "--backend", "sim", "--dataset", "no.jsonl"],
            2,
            "no dataset at no.jsonl",
            "builtin",
        ),
        (["bench", "--backend", "sim", "--trace", "no.csv"], 2, "no trace at no.csv", ""),
        (
            ["bench", "--backend", "sim", "--arrival", "poison"],
            2,
            "--arrival 'poison'",
            "did you mean 'poisson'?",
        ),
        (
            ["bench", "--backend", "sim", "--shared-prefix-tokens", "64"],
            2,
            "does not fit",
            "--input-tokens",
        ),
        (
            ["bench", "--url", "http://x", "--backend", "sim"],
            2,
            "would start another",
            "one of them",
        ),
        (["bench", "--backend", "sim", "--rate", "inf"], 2, "--rate 'inf'", ""),
        (
            ["bench", "--backend", "sim", "--concurrency", "2,2"],
            2,
            "has a value twice",
            "--repeats",
        ),
        (["bench", "--backend", "sim", "--set", "ttft_ms=abc"], 2, "not a number", ""),
        (
            ["bench", "--backend", "sim", "--search", "--slo", "ttft_p95=1s", "--concurrency", "2"],
            2,
            "finds a rate",
            "",
        ),
        (
            ["bench", "--backend", "sim", "--tensor-parallel", "2"],
            2,
            "no --tensor-parallel",
            "these have: vllm",
        ),
        (["bench", "--max-num-seqs", "0"], 2, "no such value", "16"),
        (["bench", "--backend", "remote"], 2, "needs a server", "--url"),
        (["bench", "--model", "no.gguf"], 2, "no model at no.gguf", ""),
        (["report", "show", "nowhere"], 2, "no report at nowhere", ""),
        (
            ["report", "gate", str(SAVED_RUN), "--fail-if", "tfft_ms.p95 > +5%"],
            2,
            "unknown metric 'tfft_ms'",
            "'ttft_ms'",
        ),
        (["bench", "--nope"], 2, "--nope", "bench --help"),
        (
            ["env", "create", "lamacpp"],
            2,
            "unknown environment 'lamacpp'",
            "did you mean 'llamacpp'?",
        ),
        (["train", "--data", "none.jsonl"], 2, "no training data at none.jsonl", "JSONL"),
    ],
)
def test_wrong_input_gets_one_line_a_hint_and_the_exit_code(
    cli: Cli, tmp_path: Path, args: list[str], code: int, message: str, hint: str
) -> None:
    run = cli(*args)
    assert run.returncode == code, run.stderr
    assert message in run.stderr
    assert hint in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert not [*(tmp_path / "results").glob("*/*")], "wrong input leaves nothing behind"


INTERRUPTED_EARLY = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
runpy.run_module("llmops_cli", run_name="__main__")
"""


def test_ctrl_c_before_the_command_line_stands_says_nothing(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_EARLY],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "benign"}\n')
    script = f'cd gone && rmdir ../gone && exec "$0" -m llmops_cli guard eval {tmp_path}/rows.jsonl'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "error: the folder that this runs in is gone" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["redteam", "--url", "http://127.0.0.1:1"],
        ["redteam", "--target", "guard"],
        ["prompt", "run", "1+1?", "--url", "http://127.0.0.1:1"],
        ["prompt", "eval", "cases.yaml", "--url", "http://127.0.0.1:1"],
        ["prompt", "optimize", "cases.yaml", "--url", "http://127.0.0.1:1", "--budget-calls", "99"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_no_command_writes_over_the_run_of_another(
    cli: Cli, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "cases.yaml").write_text("prompts: [Say {{w}}]\ntests: [{vars: {w: a}}]\n")
    (tmp_path / "run").mkdir()
    saved = tmp_path / "run" / "report.json"
    saved.write_bytes(SAVED_RUN.read_bytes())
    done = cli(*command, "-o", "run")
    assert (done.returncode, "run holds a run already" in done.stderr) == (2, True), done.stderr
    assert saved.read_bytes() == SAVED_RUN.read_bytes()


PATHS = {
    "engines-start": "engines start",
    "plan": "plan serve",
    "prompt-run": "prompt run",
    "deploy": "deploy render",
}
"""Recipes whose command lies below a group."""


class Choice(NamedTuple):
    """A flag that has a fixed set of values."""

    command: str
    flag: str
    values: list[str]


def choice_flags() -> Iterator[Choice]:
    """All of the app: by the recipes' fields, and the options of engines."""
    for command, place in RECIPES.items():
        kind = load_object(place)
        hints = get_type_hints(kind, include_extras=True)
        for name, flag in flags_of(kind).items():
            values = choices_of(hints[name])
            if values and not flag.hidden:
                usual = "--" + name.replace("_", "-")
                path = PATHS.get(command, command)
                yield Choice(path, (flag.names or (usual,))[0], values)
    yield Choice("bench --backend transformers", "--dtype", list(get_args(Dtype)))


CHOICES = list(choice_flags())


def options_of(command: str) -> set[str]:
    """The flags that the app itself has for the command."""
    found = APP
    for name in command.split():
        below = getattr(found, "commands", {}).get(name, found)
        is_beside = name in getattr(found, "functions", {})
        found = found.subcommand(name) if is_beside else below
    return {name for parameter in found.params for name in parameter.opts}


@pytest.mark.parametrize("choice", CHOICES, ids=[f"{c.command} {c.flag}" for c in CHOICES])
def test_a_value_out_of_the_set_gets_the_nearest_one(choice: Choice) -> None:
    """Every flag of every command that takes one of a few words."""
    assert choice.flag in options_of(choice.command)
    meant = max(choice.values, key=len)
    slip = f"{meant}x"
    argv = [*choice.command.split(), *(["demo"] if choice.command == "convert" else [])]
    run = CliRunner().invoke(command_line(), [*argv, choice.flag, slip])
    error = run.exception
    assert isinstance(error, UsageError)
    assert slip in error.message
    assert "\n" not in error.message
    assert error.hint == f"did you mean '{meant}'?"


def test_the_words_of_the_library_are_not_the_users(cli: Cli) -> None:
    run = cli("redteam", "--target", "gaurd")
    assert run.returncode == 2
    assert run.stderr == ("error: --target 'gaurd': no such value\nhint: did you mean 'guard'?\n")


def test_an_engine_without_its_library_names_the_command_that_installs_it(
    cli: Cli, tmp_path: Path
) -> None:
    config = tmp_path / "config" / "llmops"
    config.mkdir(parents=True)
    (config / "envs.yaml").write_text("llamacpp: {python: /nowhere/python}\n")
    run = cli("bench")
    assert run.returncode == 3
    assert "no Python at /nowhere/python" in run.stderr


def test_a_recipe_with_an_unknown_key_is_refused_before_any_work(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("benhc: {}\n")
    run = cli("run", "r.yaml")
    assert run.returncode == 2
    assert "did you mean 'bench'?" in run.stderr


def test_ctrl_c_is_told_also_where_a_command_does_not_wait_for_it(tmp_path: Path) -> None:
    """Typer catches it, and had the process end with 130 and no word."""
    argv = [sys.executable, "-m", "llmops_cli", "guard", "check"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True
    ) as waiting:
        until = time.monotonic() + 60
        while "pipe_read" not in Path(f"/proc/{waiting.pid}/wchan").read_text():
            assert time.monotonic() < until, "it never read its input"
            time.sleep(0.05)
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, said) == (130, "error: interrupted\n")


def test_a_key_that_nobody_could_see_is_revoked(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "llmops_cli", "keys", "create", "--name", "team"]
    env = {**os.environ, "LLMOPS_STATE_DIR": str(tmp_path / "state")}
    with Path("/dev/full").open("w") as full:
        made = subprocess.run(
            argv, stdout=full, stderr=subprocess.PIPE, env=env, text=True, check=False
        )
    assert made.returncode == 3
    assert "so team is revoked" in made.stderr
    again = subprocess.run(argv, capture_output=True, env=env, text=True, check=False)
    assert (again.returncode, again.stdout.startswith("llmops_")) == (0, True)


def test_doctor_reports_the_machine_as_json(cli: Cli) -> None:
    run = cli("doctor", "--json")
    facts = json.loads(run.stdout)
    assert facts["hardware"]["cores_logical"] >= 1
    assert {row["name"] for row in facts["environments"]} >= {"llamacpp", "train"}


def test_a_plan_and_the_files_of_a_run_are_not_asked_for_at_once(cli: Cli) -> None:
    run = cli("train", "--emit", "slurm", "--dry-run", "-o", "run")
    assert run.returncode == 2
    assert run.stdout == ""
    assert "give one of them" in run.stderr


if __name__ == "__main__":
    for stale in GOLDEN.glob("*.txt"):
        stale.unlink()
    for command in COMMANDS:
        golden_file(command).write_text(help_text(command))
