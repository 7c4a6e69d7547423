"""The check that belongs to a conversion: what is compared with what, kept with the copy."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env
from llmops_cli.models.compared import SWITCH, Copy, compared, may_check
from llmops_cli.models.provenance import Made
from llmops_cli.models.truth import Outcome, Truth, unchecked

NO_CHECK = "--no-check"


class Direction(StrEnum):
    """Which side of a conversion Transformers reads."""

    FROM_FOLDER = "from-folder"
    TO_FOLDER = "to-folder"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversion is checked. `scheme` decides what it may lose, `format` is the copy's.

    `beyond_window`: it is meant to be right within the original's sliding window; `env`: where a
    folder's format loads.
    `is_strict`: a copy that fails is an error, and no finding. `left_out`: why nothing is compared.
    """

    direction: Direction = Direction.FROM_FOLDER
    scheme: str
    format: str
    bits: int | None = None
    beyond_window: bool = False
    env: Env | None = None
    is_strict: bool = True
    left_out: str = ""
    makes_vectors: bool = False


def truth_of(
    check: Check,
    source: Artifact,
    target: Path,
    made: Made,
    *,
    progress: Progress,
) -> Truth:
    """What is known already, if it was settled; else what a comparison finds now."""
    if made.check is not None and made.check.is_settled:
        return made.check
    if check.left_out:
        return unchecked(check.left_out)
    copy = _copy(check, source, target, made)
    found = compared(copy, progress=progress)
    is_news = made.check is None or made.check.reason != found.reason
    if found.outcome is Outcome.UNCHECKED and is_news:
        progress.warn(f"{target.name} was not compared with the original: {found.reason}")
    return found


def _copy(
    check: Check,
    source: Artifact,
    target: Path,
    made: Made,
) -> Copy:
    original = source
    path = target
    if check.direction is Direction.TO_FOLDER:
        original = Artifact(
            reference=source.reference, format="hf", path=str(target), digest=made.digest
        )
        path = Path(source.path or "")
    return Copy(
        original=original,
        path=path,
        format=check.format,
        scheme=check.scheme,
        bits=check.bits,
        beyond_window=check.beyond_window,
        env=check.env,
        makes_vectors=check.makes_vectors,
        notices=tuple(notice.kind for notice in made.notices),
    )


def require_true(check: Check, truth: Truth, target: Path) -> None:
    """Raises: EngineFailed for a copy that was found to be another model than its original."""
    if truth.outcome is not Outcome.FAILED or not check.is_strict:
        return
    if check.left_out or not may_check():
        return
    told = "; ".join(fault.text for fault in truth.faults)
    raise EngineFailed(
        f"{target.name} is not the model that it was made from: {told}",
        hint=f"the file is marked; {SWITCH}=0 takes it all the same",
    )
