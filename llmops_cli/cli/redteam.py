"""`llmops redteam`, and below it `show`, `compare` and `checklist`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llmops_cli.redteam.recipe import RedteamRecipe
    from llmops_cli.redteam.report import RedteamReport

group = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    subcommand_metavar="[show|compare|checklist]",
)


def register(app: typer.Typer) -> None:
    app.add_typer(
        group, name="redteam", help="Attack a served model, and measure how often that succeeds."
    )


@group.callback()
def redteam(
    context: typer.Context,
    backend: str = typer.Option(None, help="An engine of `llmops engines`.  [default: llamacpp]"),
    model: str = typer.Option(
        None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"
    ),
    url: str = typer.Option(
        None, help="An OpenAI-style server that already runs; its first model unless --model."
    ),
    suite: str = typer.Option(
        None, help="quick, full, a plugin's name, or a YAML file.  [default: quick]"
    ),
    families: str = typer.Option(None, help="Only these, with commas."),
    guard: str = typer.Option(
        None, help="Judge the same attempts with a guard in front: default, or a policy file."
    ),
    concurrency: int = typer.Option(None, help="Attempts in flight.  [default: 16]"),
    max_attempts: int = typer.Option(
        None, help="Conversations in all, honest ones included.  [default: by suite]"
    ),
    max_tokens: int = typer.Option(None, help="Of an answer.  [default: 128]"),
    temperature: float = typer.Option(None, help="[default: 0]"),
    seed: int = typer.Option(None, help="[default: 0]"),
    rate: float = typer.Option(None, help="Requests a second at most."),
    retries: int = typer.Option(None, help="Of a request, with growing pauses.  [default: 3]"),
    timeout_s: float = typer.Option(None, help="Of a request.  [default: 120]"),
    token_budget: int = typer.Option(
        None, help="Refused before the start if the forecast is higher; enforced after."
    ),
    money_budget: float = typer.Option(
        None, help="The same in money; needs --price-in and --price-out."
    ),
    price_in: float = typer.Option(None, help="Of a million input tokens."),
    price_out: float = typer.Option(None, help="Of a million output tokens."),
    twins: bool = typer.Option(
        None, "--twins/--no-twins", help="Honest questions among the attacks.  [default: yes]"
    ),
    attacker_url: str = typer.Option(
        None, help="A model that proposes messages in searches (PAIR, TAP)."
    ),
    attacker_model: str = typer.Option(None, help="Its name."),
    judge_url: str = typer.Option(
        None, help="A model whose opinion decides instead of our judges."
    ),
    judge_model: str = typer.Option(None, help="Its name."),
    api_key_env: str = typer.Option(
        None, help="The variable that holds the API key.  [default: LLMOPS_API_KEY]"
    ),
    set_: list[str] = typer.Option(
        None, "--set", help="key=value for the engine. May be repeated."
    ),
    fail_if: list[str] = typer.Option(
        None, help="Exit 5 if it holds for sure: 'asr.extraction > 5%'. May be repeated."
    ),
    resume: Path = typer.Option(None, help="The folder of a run that was broken off."),
    sarif: Path = typer.Option(None, help="Also write SARIF."),
    junit: Path = typer.Option(None, help="Also write JUnit XML."),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder of the run.  [default: results/...]"
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Attack a served model, by default the demo, and measure how often that succeeds."""
    if context.invoked_subcommand:
        return
    from llmops_cli.cli.settings import parse_set, resolve_flags
    from llmops_cli.core.errors import UsageError
    from llmops_cli.redteam.recipe import RedteamRecipe
    from llmops_cli.redteam.show import read_gate
    from llmops_cli.redteam.suite import load_suite

    flags: dict[str, object] = {
        "backend": backend,
        "model": model,
        "url": url,
        "suite": suite,
        "families": families,
        "guard": guard,
        "concurrency": concurrency,
        "max_attempts": max_attempts,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "rate": rate,
        "retries": retries,
        "timeout_s": timeout_s,
        "token_budget": token_budget,
        "money_budget": money_budget,
        "price_in": price_in,
        "price_out": price_out,
        "twins": twins,
        "attacker_url": attacker_url,
        "attacker_model": attacker_model,
        "judge_url": judge_url,
        "judge_model": judge_model,
        "api_key_env": api_key_env,
        "options": parse_set(set_),
    }
    if resume is not None:
        given = [name for name, value in flags.items() if value is not None]
        if given or output or recipe:
            raise UsageError(
                "--resume repeats the run's own recipe", hint="llmops redteam --resume FOLDER alone"
            )
        if not (resume / "recipe.json").is_file():
            raise UsageError(f"{resume} holds no run of llmops redteam")
        recipe = resume / "recipe.json"
        output = resume
    resolved, origins = resolve_flags(RedteamRecipe, flags, file=recipe, key="redteam")
    known = load_suite(resolved.suite, families=resolved.families)[0].families
    for gate in fail_if or []:  # before anything is spent
        read_gate(gate, known)
    _run(
        resolved,
        origins,
        output,
        gates=fail_if or [],
        sarif=sarif,
        junit=junit,
        as_json=as_json,
        resumed=bool(resume),
    )


def _run(
    resolved: RedteamRecipe,
    origins: dict[str, str],
    output: Path | None,
    *,
    gates: list[str],
    sarif: Path | None,
    junit: Path | None,
    as_json: bool,
    resumed: bool,
) -> None:
    from contextlib import suppress

    from llmops_cli.cli.screen import Progress, print_json, say, show_table
    from llmops_cli.core.artifact import Artifact
    from llmops_cli.core.errors import GateFailed, LlmopsError, UsageError
    from llmops_cli.redteam.run import redteam as run
    from llmops_cli.redteam.show import broken_gates, redteam_table
    from llmops_cli.runtime.store import make_run_dir

    with Progress() as progress:
        if resolved.url:
            artifact = Artifact(reference=resolved.model, format="remote")
        else:
            from llmops_cli.engines import load_engine
            from llmops_cli.models.prepare import for_engine
            from llmops_cli.runtime.env import ensure_env

            engine = load_engine(resolved.backend)
            if engine.environment:
                ensure_env(
                    engine.environment,
                    on_line=progress.lines(f"environment {engine.environment}", log=say),
                )
            artifact = for_engine(engine, resolved.model, progress=progress)
        if output is not None and (output / "attempts.jsonl").exists() and not resumed:
            raise UsageError(
                f"{output} holds a run already", hint=f"--resume {output}, or choose another -o"
            )
        folder = output or make_run_dir("redteam", Path(resolved.model).name)
        try:
            report = run(
                resolved, origins, artifact, folder=folder, on_progress=progress.update, say=say
            )
        except LlmopsError:
            with suppress(OSError):
                folder.rmdir()  # only if nothing came of it
            raise
    save(report, folder, sarif=sarif, junit=junit)
    if as_json:
        print_json(report)
    else:
        show_table(redteam_table(report))
        say(f"report: {folder / 'report.json'}    page: {folder / 'report.html'}")
    if broken := broken_gates(report, gates):
        raise GateFailed("; ".join(broken))


def save(report: RedteamReport, folder: Path, *, sarif: Path | None, junit: Path | None) -> None:
    """The page and the table beside the report, and what was asked for."""
    from llmops_cli.redteam.show import junit as to_junit
    from llmops_cli.redteam.show import redteam_csv, redteam_page
    from llmops_cli.redteam.show import sarif as to_sarif
    from llmops_cli.runtime.store import write_atomic

    write_atomic(folder / "report.html", redteam_page(report).encode("utf-8", "backslashreplace"))
    write_atomic(folder / "report.csv", redteam_csv(report).encode())
    if sarif is not None:
        write_atomic(sarif, to_sarif(report))
    if junit is not None:
        write_atomic(junit, to_junit(report).encode())


@group.command()
def show(
    run: Path = typer.Argument(..., help="A run's folder or report.json."),
    sarif: Path = typer.Option(None, help="Write SARIF."),
    junit: Path = typer.Option(None, help="Write JUnit XML."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """The table of a run that was made, and its other formats."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.redteam.show import redteam_table

    report = _load(run)
    save(report, run if run.is_dir() else run.parent, sarif=sarif, junit=junit)
    if as_json:
        print_json(report)
    else:
        print_table(redteam_table(report))


@group.command()
def compare(
    before: Path = typer.Argument(..., help="A run's folder or report.json."),
    after: Path = typer.Argument(..., help="Another, of the same or another model."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the rows on stdout and nothing else."
    ),
) -> None:
    """Which families succeed more or less often than before, beyond chance."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.redteam.show import compare as rows
    from llmops_cli.redteam.show import comparison_table

    first = _load(before)
    second = _load(after)
    if as_json:
        print_json(rows(first, second))
    else:
        print_table(comparison_table(first, second))


@group.command()
def checklist(
    url: str = typer.Option(..., help="A running gateway, such as http://127.0.0.1:8080."),
    model: str = typer.Option(None, help="A model that it serves.  [default: its first]"),
    key_env: str = typer.Option("LLMOPS_API_KEY", help="The variable that holds a key for it."),
    strict: bool = typer.Option(False, "--strict", help="Exit 5 if something is missing."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the list on stdout and nothing else."
    ),
) -> None:
    """Walk the deployment checklist against a running gateway: validation, prompts, filtering,
    monitoring, access.
    """
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.redteam.checklist import checklist as walk
    from llmops_cli.redteam.show import checklist_table

    found = walk(url, model=model, key_env=key_env)
    if as_json:
        print_json(found)
    else:
        print_table(checklist_table(found))
    missing = [item.name for item in found if item.ok is False]
    if strict and missing:
        raise GateFailed(f"missing: {', '.join(missing)}")


def _load(path: Path) -> RedteamReport:
    from llmops_cli.core.errors import UsageError
    from llmops_cli.redteam.report import RedteamReport
    from llmops_cli.runtime.store import load_report

    report = load_report(path / "report.json" if path.is_dir() else path)
    if not isinstance(report, RedteamReport):
        raise UsageError(f"{path} is no run of llmops redteam")
    return report
