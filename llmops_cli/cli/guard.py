"""`llmops guard check|explain|eval|train|truth`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.guard_train import train
from llmops_cli.cli.guard_truth import truth
from llmops_cli.cli.values import CommandLine

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision, Finding

OURS = "default"
"""The policy that comes with the toolkit, as --guard calls it."""
POLICY = typer.Option(OURS, help="default (attacks blocked, secrets redacted), or a policy file.")
DETECTOR = typer.Option(
    None, help="A folder of `guard train`: what it takes for an attack is blocked, too."
)

group = CommandLine(
    help="Judge what goes into a model and what comes out of it.",
)


def register(app: typer.Typer) -> None:
    group.command()(train)
    group.command()(truth)
    app.add_typer(group, name="guard")


@group.command()
def check(
    file: Path = typer.Argument(None, help="The text; - or nothing reads stdin."),
    policy: Path = POLICY,
    output: bool = typer.Option(
        False, "--output", help="The text is a model's answer, not a prompt."
    ),
    role: str = typer.Option(
        "user", help="Who says it: user, tool, document, or a role of the policy."
    ),
    route: str = typer.Option(None, help="The route whose part of the policy counts."),
    system_prompt: Path = typer.Option(
        None, help="With --output: the prompt that the answer must not give away."
    ),
    detector: Path = DETECTOR,
    strict: bool = typer.Option(False, "--strict", help="Exit 5 if the text is blocked."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the decision on stdout and nothing else."
    ),
) -> None:
    """The decision for one text: allow, flag, redact or block, and why."""
    from llmops_cli.cli.screen import print_json
    from llmops_cli.core.errors import GateFailed

    text, decision = _decide(
        file,
        policy,
        output=output,
        role=role,
        route=route,
        system_prompt=system_prompt,
        detector=detector,
    )
    if as_json:
        print_json(decision)
    else:
        _write(decision, text)
    if strict and decision.action == "block":
        raise GateFailed(decision.message or "blocked")


def _write(decision: Decision, text: str) -> None:
    """What was decided on a text, and what is left of it."""
    sys.stdout.write(f"{decision.action}\n")
    for finding in decision.findings:
        if finding.action == "allow":
            continue
        rule = f"{finding.detector}, {finding.rule}"
        place = _place(finding, text)
        sys.stdout.write(f"  {finding.action}: {rule}{place}\n")
    if decision.action != "redact":
        return
    sys.stdout.write(decision.text)
    if not decision.text.endswith("\n"):
        sys.stdout.write("\n")


@group.command()
def explain(
    file: Path = typer.Argument(None, help="The text; - or nothing reads stdin."),
    policy: Path = POLICY,
    output: bool = typer.Option(
        False, "--output", help="The text is a model's answer, not a prompt."
    ),
    role: str = typer.Option("user", help="Who says it."),
    detector: Path = DETECTOR,
) -> None:
    """Every piece of evidence, also what did not suffice.

    Rule, weight, place and decoded reading.
    """
    from llmops_cli.cli.screen import print_table
    from llmops_cli.guard.show import decision_table

    text, decision = _decide(file, policy, output=output, role=role, detector=detector)
    print_table(decision_table(text, decision))


@group.command("eval")
def eval_(
    data: Path = typer.Argument(
        ..., help='Lines of {"text", "label": attack or benign, "family", "source"}.'
    ),
    policy: Path = POLICY,
    role: str = typer.Option("user", help="Who says it."),
    detector: Path = DETECTOR,
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder of the run.  [default: results/...]"
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Shares flagged of attacks and of honest texts, with intervals, and the time it takes.

    By family and by source. Every verdict is kept: report compare and gate judge two runs.
    """
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.guard.evaluation.report import GuardEvalRecipe
    from llmops_cli.guard.evaluation.run import evaluate_data
    from llmops_cli.guard.evaluation.show import DROPPABLE, rates_table
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page
    from llmops_cli.show.tables import Narrowed

    guard = _guard(policy, detector)
    _require_role(guard, role)
    recipe = GuardEvalRecipe(
        data=str(data),
        policy=None if _is_ours(policy) else str(policy),
        role=role,
        detector=None if detector is None else str(detector),
    )
    folder = RunFolder("guard-eval", data.stem, chosen=output)
    folder.require_unused()
    with TerminalProgress() as progress:
        report = evaluate_data(recipe, guard, folder, progress=progress)
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
        return
    table = Narrowed(rates_table(report), droppable=DROPPABLE)
    print_kept(table, f"report: {folder.path / 'report.json'}    page: {page}")


def _decide(
    file: Path | None,
    policy: Path,
    *,
    output: bool,
    role: str,
    route: str | None = None,
    system_prompt: Path | None = None,
    detector: Path | None = None,
) -> tuple[str, Decision]:
    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import UsageError, unknown_name
    from llmops_cli.guard.leak import LeakCheck

    guard = _guard(policy, detector)
    routes = tuple(guard.policy.routes)
    _require_role(guard, role)
    if route is not None and route not in routes:
        raise unknown_name("route", route, routes)
    if system_prompt and not output:
        raise UsageError(
            "--system-prompt is what an answer must not give away",
            hint="add --output",
        )
    text = read_text(file)
    if not text.strip():
        say("the text is empty, so there was nothing to judge")
    if not output:
        decision = guard.check_input(text, role=role, route=route)
        return text, decision
    leak = None
    if system_prompt:
        prompt = read_text(system_prompt)
        leak = LeakCheck(prompt)
    decision = guard.check_output(text, leak=leak, route=route)
    return text, decision


def _require_role(guard: Guard, role: str) -> None:
    """Raises: UsageError for one that the policy does not know."""
    from llmops_cli.core.errors import unknown_name

    roles = guard.policy.roles_known
    if role not in roles:
        raise unknown_name("role", role, roles)


def _is_ours(policy: Path) -> bool:
    """A file of that name is a file."""
    return str(policy) == OURS and not policy.exists()


def _guard(policy: Path, detector: Path | None = None) -> Guard:
    """By a policy file, or by the policy that comes with the toolkit."""
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.models import ready_policy, with_stage
    from llmops_cli.guard.policy import DEFAULT

    found = DEFAULT if _is_ours(policy) else ready_policy(policy)
    if detector is None:
        return Guard(found)
    return Guard(with_stage(found, detector))


def read_text(file: Path | None) -> str:
    """Raises: UsageError for a file that is not there, or is no UTF-8."""
    from llmops_cli.core.errors import UsageError
    from llmops_cli.runtime.rows import decoded
    from llmops_cli.runtime.rows import read_text as read

    if file is None or str(file) == "-":
        return decoded(sys.stdin.buffer.read(), "the text")
    try:
        return read(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _place(finding: Finding, text: str) -> str:
    place = ""
    if finding.view:
        views = " > ".join(finding.view)
        place = f", through {views}"
    start, end = finding.span
    if start == 0 and end == len(text):
        return place
    return f"{place}, characters {start}-{end}"
