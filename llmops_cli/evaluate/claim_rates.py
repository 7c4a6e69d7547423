"""How often a reader of claims is right: precision and recall of each verdict, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.stats import share_interval
from llmops_cli.evaluate.claims import ClaimReading, ClaimVerdict
from llmops_cli.runtime.rows import rows_in

OWN = Path(__file__).with_name("data") / "claims.jsonl"
"""Our labelled claims; the reader without a model was adjusted on the half `dev`."""
HELD = "held"
FORM = 'lines of {"document", "claim", "verdict": "supported", "contradicted" or "not_said"}'


class LabelledClaim(msgspec.Struct, frozen=True):
    """What people say that a document says of a claim."""

    document: str
    claim: str
    verdict: ClaimVerdict
    half: str = HELD


class VerdictRates(msgspec.Struct, frozen=True, kw_only=True):
    """Shares with 95 % intervals; None of nothing.

    `precision`: of those that were called so; `recall`: of those that are so.
    """

    labelled: int
    called: int
    right: int
    precision: float | None
    precision_ci95: tuple[float, float] | None
    recall: float | None
    recall_ci95: tuple[float, float] | None


class ClaimRates(msgspec.Struct, frozen=True, kw_only=True):
    """`accuracy` is of all claims; one that was not decided is not right."""

    claims: int
    undecided: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    verdicts: dict[str, VerdictRates]


def read_labelled(path: Path) -> list[LabelledClaim]:
    """Raises: UsageError for a file that is not there, or a row of another form."""
    found = []
    try:
        for number, row in rows_in(path):
            misfit = misfit_of(row, LabelledClaim)
            if misfit is not None:
                raise UsageError(f"{path}, line {number}: {misfit.told}", hint=FORM)
            found.append(msgspec.convert(row, LabelledClaim))
    except OSError as error:
        raise UsageError(f"no claims at {path}", hint=FORM) from error
    if not found:
        raise UsageError(f"{path} holds no claims", hint=FORM)
    return found


def rates_of(
    labelled: Sequence[LabelledClaim],
    readings: Sequence[ClaimReading | None],
) -> ClaimRates:
    """What the readings are worth, beside the labels in the same order."""
    called = [reading.verdict if reading else None for reading in readings]
    pairs = list(zip([one.verdict for one in labelled], called, strict=True))
    right = sum(is_so is said for is_so, said in pairs)
    return ClaimRates(
        claims=len(pairs),
        undecided=called.count(None),
        accuracy=right / len(pairs),
        accuracy_ci95=share_interval(right, len(pairs)),
        verdicts={str(verdict): _rates_of(verdict, pairs) for verdict in ClaimVerdict},
    )


def _rates_of(
    verdict: ClaimVerdict,
    pairs: Sequence[tuple[ClaimVerdict, ClaimVerdict | None]],
) -> VerdictRates:
    labelled = sum(is_so is verdict for is_so, _ in pairs)
    called = sum(said is verdict for _, said in pairs)
    right = sum(is_so is said is verdict for is_so, said in pairs)
    return VerdictRates(
        labelled=labelled,
        called=called,
        right=right,
        precision=right / called if called else None,
        precision_ci95=share_interval(right, called) if called else None,
        recall=right / labelled if labelled else None,
        recall_ci95=share_interval(right, labelled) if labelled else None,
    )
