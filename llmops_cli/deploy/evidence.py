"""What a saved bench run or a plan says of an engine: how long it loads, what a replica carries."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.deploy.knob import Knob, Plain

SPARE = 0.8
"""Of what a replica carries, where another one is asked for: loading takes its time."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """None: nobody said. `requests`: at once on a replica, with room to spare."""

    load_s: Knob | None = None
    requests: Knob | None = None
    memory_bytes: Knob | None = None


class StartedRun(msgspec.Struct, kw_only=True):
    process_s: float | None = None
    load_s: float = 0.0
    first_token_s: float | None = None


class RunLevel(msgspec.Struct, kw_only=True):
    label: str = ""
    concurrency: int | None = None
    output_tokens_per_s: float = 0.0
    valid: bool = True


class RunFinding(msgspec.Struct, kw_only=True):
    knee: str | None = None


class RunMemory(msgspec.Struct, kw_only=True):
    rss_bytes: int | None = None


class SavedRun(msgspec.Struct, kw_only=True):
    """Of a bench report, what is asked here; other fields are its own business."""

    schema: str
    levels: list[RunLevel]
    startup: StartedRun | None = None
    finding: RunFinding = msgspec.field(default_factory=RunFinding)


class PlanFigure(msgspec.Struct, kw_only=True):
    value: float | bool | None = None
    low: float | bool | None = None
    high: float | bool | None = None


class SavedPlan(msgspec.Struct, kw_only=True):
    fits: PlanFigure
    weights_bytes: PlanFigure
    kv_pool_bytes: PlanFigure
    max_concurrency: PlanFigure


def read_evidence(
    upstream: str,
    *,
    bench: dict[str, str],
    plan: dict[str, str],
) -> Evidence:
    """A measurement goes before a plan. Raises: UsageError."""
    found = Evidence()
    if upstream in plan:
        found = _of_plan(Path(plan[upstream]))
    if upstream in bench:
        measured = _of_bench(Path(bench[upstream]))
        found = Evidence(
            load_s=measured.load_s or found.load_s,
            requests=measured.requests or found.requests,
            memory_bytes=measured.memory_bytes or found.memory_bytes,
        )
    return found


def refuse_strangers(named: dict[str, str], known: list[str]) -> None:
    """Raises: UsageError for evidence about an upstream that is not started."""
    for name in named:
        if name not in known:
            raise unknown_name("upstream with an engine", name, known)


def _of_bench(path: Path) -> Evidence:
    if path.is_dir():
        path /= "report.json"
    run = _decoded(path, SavedRun, what="bench run")
    if not run.schema.startswith("llmops.bench/"):
        raise UsageError(f"{path} is a {run.schema}, no bench run", hint="llmops bench -o FOLDER")
    return Evidence(load_s=_load_s(run, path), requests=_requests(run, path))


def _load_s(run: SavedRun, path: Path) -> Knob | None:
    start = run.startup
    if start is None:
        return None
    total_s = (start.process_s or 0.0) + start.load_s + (start.first_token_s or 0.0)
    return Knob(round(total_s, 1), f"measured: start to first token in {path}")


def _requests(run: SavedRun, path: Path) -> Knob | None:
    levels = [each for each in run.levels if each.valid and each.concurrency]
    if not levels:
        return None
    at = {each.label: each for each in levels}
    best = at.get(run.finding.knee or "")
    word = "the knee"
    if best is None:
        best = max(levels, key=lambda each: each.output_tokens_per_s)
        word = "its fastest level"
    streams = best.concurrency or 1
    least = max(1, int(streams * SPARE))
    return Knob(least, f"{SPARE:g} of {streams} streams, {word} of {path}")


def _of_plan(path: Path) -> Evidence:
    plan = _decoded(path, SavedPlan, what="plan")
    if not plan.fits.value:
        raise UsageError(
            f"{path} says that the model does not fit", hint="llmops plan serve with more cards"
        )
    requests = None
    if plan.max_concurrency.low:
        carried = plan.max_concurrency.low
        least = max(1, int(carried * SPARE))
        requests = Knob(least, f"{SPARE:g} of the {carried:.0f} sequences at least of {path}")
    memory = None
    weights = plan.weights_bytes.high or plan.weights_bytes.value
    if weights:
        pool = plan.kv_pool_bytes.value or 0
        memory = Knob(int(weights + pool), f"weights and KV pool of {path}")
    return Evidence(requests=requests, memory_bytes=memory)


def _decoded(path: Path, kind: type, *, what: str) -> Plain:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"no {what} at {path}: {error.strerror}") from None
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        raise UsageError(f"{path} is no {what}: {wrong_in(raw, kind)}") from None
