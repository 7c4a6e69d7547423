"""How `max-score` ranks the answers to a case."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import Misused


class Ranking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`weights`: by type of assertion, in place of their own. Below `threshold` none is best."""

    method: Literal["average", "sum"] = "average"
    weights: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    threshold: float = 0.0


def ranking_of(check: Check) -> Ranking:
    """Raises: Misused for a value that says something else."""
    value = check.value or {}
    misfit = misfit_of(value, Ranking)
    if misfit is not None:
        raise Misused(f"{check.name}: {misfit.told}")
    return msgspec.convert(value, Ranking)
