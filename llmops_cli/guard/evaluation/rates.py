"""How good the guard is on labelled texts: shares flagged, by family and source, and its time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.core.stats import share_interval
from llmops_cli.guard.automata import SURROGATES
from llmops_cli.guard.check import Guard
from llmops_cli.guard.decision import Decision
from llmops_cli.guard.labelled_rows import labelled_rows


class LabelledText(msgspec.Struct, frozen=True):
    """One labelled text. `label` is attack or benign (or 1 and 0); `role` is whose it is."""

    text: str
    label: str | int | bool
    family: str = "all"
    source: str = "all"
    role: str | None = None

    @property
    def is_attack(self) -> bool:
        return str(self.label).lower() in ATTACK


ATTACK = ("attack", "1", "true", "unsafe", "injection", "jailbreak", "malicious")
FORM = 'lines of {"text": ..., "label": "attack" or "benign", "family", "source"}'
TIMING = "texts timed"
TOLD_EVERY = 50
HONEST = ("benign", "0", "false", "safe", "honest")


class Verdict(msgspec.Struct, frozen=True):
    """A labelled text, and what the guard decided on it."""

    row: LabelledText
    decision: Decision

    @property
    def is_right(self) -> bool:
        return self.decision.flagged == self.row.is_attack


class DetectionRates(msgspec.Struct, frozen=True, kw_only=True):
    """Shares flagged of attacks (`tpr`) and of honest texts (`fpr`), with 95 % intervals.

    None where there are no such texts.
    """

    tpr: float | None
    fpr: float | None
    n_attack: int
    n_benign: int
    tpr_ci95: tuple[float, float] | None = None
    fpr_ci95: tuple[float, float] | None = None


class PerKb(msgspec.Struct, frozen=True):
    """Microseconds for each KB of text; a text below 1 KB counts as one."""

    p50: float
    p95: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    overall: DetectionRates
    families: dict[str, DetectionRates]
    sources: dict[str, DetectionRates]
    us_per_kb: PerKb
    us_per_text: PerKb


def read_rows(path: Path) -> Iterator[LabelledText]:
    """Raises: UsageError naming the line."""
    for where, row in labelled_rows(path, LabelledText, form=FORM):
        if SURROGATES.search(row.family) or SURROGATES.search(row.source):
            raise UsageError(
                f"{where}: a family or source with half a character", hint="another name"
            )
        if str(row.label).lower() not in (*ATTACK, *HONEST):
            raise UsageError(f"{where}: the label is {row.label!r}", hint="attack or benign")
        yield row


def verdict_on(guard: Guard, row: LabelledText, *, role: str) -> Verdict:
    """Raises: UsageError for a row whose role the policy does not know."""
    own = row.role or role
    known = guard.policy.roles_known
    if own not in known:
        raise unknown_name("role of a row", own, known)
    return Verdict(row, guard.check_input(row.text, role=own))


def evaluate(
    guard: Guard,
    rows: Iterable[LabelledText],
    *,
    role: str = "user",
) -> Evaluation:
    """Every row through the guard's input side, one at a time.

    Timed in a second pass, as in a running server. Raises: UsageError for no rows.
    """
    verdicts = [verdict_on(guard, row, role=role) for row in rows]
    return evaluation_of(guard, verdicts, role=role, progress=Silent())


def evaluation_of(
    guard: Guard,
    verdicts: Sequence[Verdict],
    *,
    role: str,
    progress: Progress,
) -> Evaluation:
    """The rates of texts that are judged, and what judging one again takes."""
    if not verdicts:
        raise UsageError("no rows to evaluate", hint=FORM)
    flagged = [(verdict.row, verdict.decision.flagged) for verdict in verdicts]
    per_text = []
    for done, verdict in enumerate(verdicts):
        if done % TOLD_EVERY == 0:
            progress.update(TIMING, done, len(verdicts))
        per_text.append(_spent_us(guard, verdict.row.text, verdict.row.role or role))
    progress.update(TIMING, len(verdicts), len(verdicts))
    sizes_kb = [max(len(row.text.encode(errors="replace")) / 1024, 1.0) for row, _ in flagged]
    per_kb = [spent / size for spent, size in zip(per_text, sizes_kb, strict=True)]
    return Evaluation(
        overall=rates_of(flagged),
        families=_by(flagged, "family"),
        sources=_by(flagged, "source"),
        us_per_kb=_spread(per_kb),
        us_per_text=_spread(per_text),
    )


def _spent_us(
    guard: Guard,
    text: str,
    role: str,
) -> float:
    start = time.perf_counter()
    guard.check_input(text, role=role)
    return (time.perf_counter() - start) * 1e6


def _by(verdicts: list[tuple[LabelledText, bool]], field: str) -> dict[str, DetectionRates]:
    groups: dict[str, list[tuple[LabelledText, bool]]] = {}
    for row, flagged in verdicts:
        groups.setdefault(str(getattr(row, field)), []).append((row, flagged))
    return {name: rates_of(found) for name, found in sorted(groups.items())}


def rates_of(verdicts: list[tuple[LabelledText, bool]]) -> DetectionRates:
    attacks = [flagged for row, flagged in verdicts if row.is_attack]
    benign = [flagged for row, flagged in verdicts if not row.is_attack]
    tpr, tpr_ci95 = _share(attacks)
    fpr, fpr_ci95 = _share(benign)
    return DetectionRates(
        tpr=tpr,
        fpr=fpr,
        n_attack=len(attacks),
        n_benign=len(benign),
        tpr_ci95=tpr_ci95,
        fpr_ci95=fpr_ci95,
    )


def _share(flagged: list[bool]) -> tuple[float | None, tuple[float, float] | None]:
    if not flagged:
        return None, None
    count = sum(flagged)
    return count / len(flagged), share_interval(count, len(flagged))


def _spread(values: list[float]) -> PerKb:
    ordered = sorted(values)
    return PerKb(
        round(ordered[len(ordered) // 2], 1),
        round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
    )
