"""A hunt for the guard's gaps as a run: seeds, progress, report, and rows to train with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Manifest
from llmops_cli.core.stats import share_interval
from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import read_rows
from llmops_cli.redteam.hunt import (
    HUNT_FAMILIES,
    GuardHunt,
    HuntSeed,
    HuntTry,
    caught,
    honest_stopped,
    hunt,
)
from llmops_cli.redteam.plan import Plan
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.report import FamilyResult, RedteamExample, RedteamReport, TwinResult
from llmops_cli.redteam.sarif import SUCCESSES, successes_lines
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import StopReason
from llmops_cli.runtime.runs import RunFolder

FINDS = "finds.jsonl"
RECIPE = "recipe.json"
DEFAULT_TRIES = 4000
EXAMPLES_EACH = 3
OWASP = "LLM01:2025"
ATLAS = "AML.T0054"
CWE = "CWE-1427"
SOURCE = "redteam-guard"


class FindRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `llmops guard train`; `chain` says how it was made of `seed`."""

    text: str
    label: str
    family: str
    chain: list[str]
    seed: str
    source: str = SOURCE


def redteam_guard(
    recipe: RedteamRecipe,
    origins: dict[str, str],
    *,
    plan: Plan,
    folder: RunFolder,
    progress: Progress,
) -> RedteamReport:
    """Hunts, and writes the report and the rows. Raises: UsageError where no seed is stopped."""
    guard = plan.guard or Guard()
    offered = _seeds(recipe, plan)
    seeds = caught(guard, offered)
    if not seeds:
        raise UsageError(
            f"the guard stops none of {len(offered)} attacks, so there is nothing to begin with",
            hint="--seeds FILE has others, or --guard a policy that blocks",
        )
    progress.say(f"{len(seeds)} of {len(offered)} attacks are stopped as they are")
    clock = RunClock()
    began = time.monotonic()
    found = _hunted(recipe, guard, seeds, offered=len(offered), progress=progress)
    honest = [attempt.turns[-1] for attempt in plan.attempts if attempt.twin]
    controls = honest_stopped(guard, dict.fromkeys(honest), seed=recipe.seed)
    stopped = None if found.is_whole else StopReason.INTERRUPTED
    manifest = clock.manifest(recipe, origins, seed=recipe.seed, complete=found.is_whole)
    report = _report(manifest, found, controls, stopped=stopped)
    report = msgspec.structs.replace(report, duration_s=round(time.monotonic() - began, 3))
    write_atomic(folder.path / RECIPE, to_json(recipe))
    write_atomic(folder.path / FINDS, _rows(found, controls))
    successes = [_example(one) for one in found.finds()]
    write_atomic(folder.path / SUCCESSES, successes_lines(successes))
    folder.write_report(report)
    return report


def _seeds(recipe: RedteamRecipe, plan: Plan) -> list[HuntSeed]:
    """The user's own attacks, or the suite's of one message in plain writing."""
    if recipe.seeds is not None:
        rows = read_rows(Path(recipe.seeds))
        return [HuntSeed(row.text) for row in rows if row.is_attack]
    return [
        HuntSeed(attempt.turns[0], attempt.role)
        for attempt in plan.attempts
        if len(attempt.turns) == 1 and not attempt.transform and not attempt.twin
    ]


def _hunted(
    recipe: RedteamRecipe,
    guard: Guard,
    seeds: list[HuntSeed],
    *,
    offered: int,
    progress: Progress,
) -> GuardHunt:
    most = recipe.max_attempts or DEFAULT_TRIES
    tries: list[HuntTry] = []
    is_whole = True
    try:
        for one in hunt(guard, seeds, most_tries=most, seed=recipe.seed):
            tries.append(one)
            progress.update("texts", len(tries), most)
    except KeyboardInterrupt:
        is_whole = False
    return GuardHunt(offered=offered, seeds=seeds, tries=tries, is_whole=is_whole)


def _report(
    manifest: Manifest,
    found: GuardHunt,
    controls: Sequence[HuntTry],
    *,
    stopped: StopReason | None,
) -> RedteamReport:
    """A family is a mutation; what succeeds is what the guard lets through."""
    families = {}
    for name in HUNT_FAMILIES:
        tries = [one for one in found.tries if one.kind == name]
        if tries:
            families[name] = _result(tries)
    blocked = sum(one.stopped for one in controls)
    twins = None
    if controls:
        twins = TwinResult(
            attempts=len(controls),
            refused=0,
            refused_share=0.0,
            ci95=share_interval(0, len(controls)),
            blocked=blocked,
        )
    return RedteamReport(
        manifest=manifest,
        attempts=len(found.tries),
        duration_s=0.0,
        families=families,
        overall=_result(found.tries),
        twins=twins,
        examples=_examples(found),
        stopped=stopped,
    )


def _result(tries: Sequence[HuntTry]) -> FamilyResult:
    through = sum(not one.stopped for one in tries)
    count = len(tries)
    return FamilyResult(
        attempts=count,
        planned=count,
        decided=count,
        successes=through,
        asr=through / count if count else None,
        ci95=share_interval(through, count) if count else None,
        blocked=count - through,
        owasp=OWASP,
        atlas=ATLAS,
        cwe=CWE,
    )


def _examples(found: GuardHunt) -> list[RedteamExample]:
    shown: dict[str, list[RedteamExample]] = {}
    for one in found.finds():
        examples = shown.setdefault(one.kind, [])
        if len(examples) < EXAMPLES_EACH:
            examples.append(_example(one))
    return [example for examples in shown.values() for example in examples]


def _example(one: HuntTry) -> RedteamExample:
    chain = " > ".join(one.chain)
    return RedteamExample(
        family=one.kind,
        attack=one.seed.text,
        prompt=one.text,
        answer="",
        why=f"let through with evidence {one.score:g}, by {chain}",
        stopped_by_guard=False,
    )


def _rows(found: GuardHunt, controls: Sequence[HuntTry]) -> bytes:
    """Finds, and honest texts in the same clothes, so that clothes alone teach nothing."""
    rows = [_row(one, "attack") for one in found.finds()]
    rows += [_row(one, "benign") for one in controls]
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _row(one: HuntTry, label: str) -> FindRow:
    return FindRow(
        text=one.text,
        label=label,
        family=one.kind,
        chain=list(one.chain),
        seed=one.seed.text,
    )
