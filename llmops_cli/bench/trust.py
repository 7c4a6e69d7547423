"""Whether a gate may judge two runs at all: what makes their numbers worthless or unlike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.bench.unlike import ENGINE, SAME_REQUESTS, said_of, unlike_words
from llmops_cli.core.report import Manifest
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition

MACHINE = ("cpu_model", "cores_logical", "gpus")
"""What makes the class of a machine."""
THE_RUN = "the run"


def untrusted(run: SavedRun) -> list[JudgedCondition]:
    """A failed condition for a partial run and for each reason that a level is invalid.

    A gate must not pass on such numbers.
    """
    found = []
    for level in run.report.levels:
        for reason in level.invalid_reasons:
            text = f"{run.name}: {reason}"
            found.append(_row("valid", load_name(level), ConditionOutcome.FAILED, text))
    if not run.report.manifest.complete:
        text = f"{run.name} is partial"
        found.append(_row("complete", THE_RUN, ConditionOutcome.FAILED, text))
    return found


def unlike(current: SavedRun, baseline: SavedRun) -> Iterator[JudgedCondition]:
    """What keeps a change from being the server's own: other requests, another machine."""
    before = baseline.report.manifest
    now = current.report.manifest
    requests = _recipes_differ(SAME_REQUESTS, before, now)
    if requests:
        yield _row("same workload", THE_RUN, ConditionOutcome.UNKNOWN, requests)
    machine = _differences(MACHINE, _machine(before), _machine(now))
    if machine:
        outcome = ConditionOutcome.UNKNOWN
        if before.recipe.get("url") and now.recipe.get("url"):  # it ran the client alone
            outcome = ConditionOutcome.WARNED
        yield _row("same machine", THE_RUN, outcome, machine)


def changed(current: SavedRun, baseline: SavedRun) -> Iterator[JudgedCondition]:
    """What a gate is often there to judge, and a reader should know of."""
    before = baseline.report.manifest
    now = current.report.manifest
    for name, text in (
        ("same model", _differences(("model",), _model(before), _model(now))),
        ("same engine", _recipes_differ(ENGINE, before, now)),
        ("same versions", unlike_words(before.versions, now.versions)),
    ):
        if text:
            yield _row(name, THE_RUN, ConditionOutcome.WARNED, text)


def _machine(manifest: Manifest) -> dict[str, object]:
    hardware = dict(manifest.hardware)
    gpus = hardware.get("gpus")
    if isinstance(gpus, list):
        names = [gpu.get("name") for gpu in gpus if isinstance(gpu, dict)]
        hardware["gpus"] = ", ".join(map(str, names))
    return hardware


def _model(manifest: Manifest) -> dict[str, object]:
    digest = manifest.digests.get("model")
    return {"model": digest or manifest.recipe.get("model")}


def _recipes_differ(
    names: Sequence[str],
    before: Manifest,
    now: Manifest,
) -> str:
    ours = said_of(before.recipe, names)
    theirs = said_of(now.recipe, names)
    return unlike_words(ours, theirs)


def _differences(
    names: Sequence[str],
    before: Mapping[str, object],
    now: Mapping[str, object],
) -> str:
    ours = {name: before.get(name) for name in names}
    theirs = {name: now.get(name) for name in names}
    return unlike_words(ours, theirs)


def _row(
    condition: str,
    load: str,
    outcome: ConditionOutcome,
    text: str,
) -> JudgedCondition:
    return JudgedCondition(condition=condition, load=load, outcome=outcome, text=text, asked=False)
