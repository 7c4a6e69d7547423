"""How good the guard is on labelled texts: shares flagged with intervals, by family and source, and
its time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.stats import share_interval
from llmops_cli.guard.check import Guard


class LabelledText(msgspec.Struct, frozen=True):
    """One labelled text. `label` is attack or benign (or 1 and 0)."""

    text: str
    label: str | int | bool
    family: str = "all"
    source: str = "all"

    @property
    def is_attack(self) -> bool:
        return str(self.label).lower() in ATTACK


ATTACK = ("attack", "1", "true", "unsafe", "injection", "jailbreak", "malicious")
HONEST = ("benign", "0", "false", "safe", "honest")


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Shares flagged of attacks (`tpr`) and of honest texts (`fpr`), with 95 % intervals; None
    where there are none.
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
    overall: Rates
    families: dict[str, Rates]
    sources: dict[str, Rates]
    us_per_kb: PerKb
    us_per_text: PerKb


def read_rows(path: Path) -> Iterator[LabelledText]:
    """Raises: UsageError naming the line."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise UsageError(f"no data at {path}") from error
    with lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = msgspec.json.decode(line, type=LabelledText)
                except msgspec.DecodeError as error:
                    raise UsageError(
                        f"{path}, line {number}: {str(error).replace('`', '')}",
                        hint='lines of {"text": ..., "label": "attack" or "benign", "family", "source"}',
                    ) from error
                if str(row.label).lower() not in (*ATTACK, *HONEST):
                    raise UsageError(
                        f"{path}, line {number}: the label is {row.label!r}",
                        hint="attack or benign",
                    )
                yield row


def evaluate(guard: Guard, rows: Iterable[LabelledText], *, role: str = "user") -> Evaluation:
    """Every row through the guard's input side, one at a time; timed in a second pass, as in a
    running server.
    """
    verdicts = [(row, guard.check_input(row.text, role=role).flagged) for row in rows]
    per_kb = []
    per_text = []
    for row, _ in verdicts:
        start = time.perf_counter()
        guard.check_input(row.text, role=role)
        spent = (time.perf_counter() - start) * 1e6
        per_text.append(spent)
        per_kb.append(spent / max(len(row.text.encode(errors="replace")) / 1024, 1.0))
    if not verdicts:
        raise UsageError("no rows to evaluate")
    return Evaluation(
        overall=_rates(verdicts),
        families=_by(verdicts, "family"),
        sources=_by(verdicts, "source"),
        us_per_kb=_spread(per_kb),
        us_per_text=_spread(per_text),
    )


def _by(verdicts: list[tuple[LabelledText, bool]], field: str) -> dict[str, Rates]:
    groups: dict[str, list[tuple[LabelledText, bool]]] = {}
    for row, flagged in verdicts:
        groups.setdefault(str(getattr(row, field)), []).append((row, flagged))
    return {name: _rates(found) for name, found in sorted(groups.items())}


def _rates(verdicts: list[tuple[LabelledText, bool]]) -> Rates:
    attacks = [flagged for row, flagged in verdicts if row.is_attack]
    benign = [flagged for row, flagged in verdicts if not row.is_attack]
    return Rates(
        tpr=sum(attacks) / len(attacks) if attacks else None,
        fpr=sum(benign) / len(benign) if benign else None,
        n_attack=len(attacks),
        n_benign=len(benign),
        tpr_ci95=share_interval(sum(attacks), len(attacks)) if attacks else None,
        fpr_ci95=share_interval(sum(benign), len(benign)) if benign else None,
    )


def _spread(values: list[float]) -> PerKb:
    ordered = sorted(values)
    return PerKb(
        round(ordered[len(ordered) // 2], 1),
        round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
    )
