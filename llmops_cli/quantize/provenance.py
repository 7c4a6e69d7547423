"""What was measured of a quantized model, kept with what it was made from.

It lies beside a file (FILE.json), or in a folder (llmops.json).
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.models.provenance import Made
from llmops_cli.quantize.mixture import Mixture
from llmops_cli.quantize.report import ArtifactProblem, ProblemKind, Served

IN_FOLDER = "llmops.json"
CARD = "README.md"
WRITTEN_LATER = frozenset({IN_FOLDER, CARD})
"""What we write into a folder after its digest was taken."""


class Provenance(Made, frozen=True, kw_only=True):
    """All in one JSON object, so it adds to `Made` and does not hold one.

    `requantized_from`: types that its source's weights had gone through already.
    `planned_weights` are those of the matrices that were to be quantized, `quantized_weights` those
    that are, by the tensors on disk; None where no program counted them.
    """

    recipe: dict[str, Any] = msgspec.field(default_factory=dict)  # Any: the variant's fields
    imatrix: str = "none"
    requantized_from: str = ""
    quality: dict[str, float] = msgspec.field(default_factory=dict)
    quality_key: str = ""
    quality_base: str = ""
    served: Served | None = None
    mixture: Mixture | None = None
    problems: list[ArtifactProblem] = msgspec.field(default_factory=list)
    quantized_weights: int | None = None
    planned_weights: int | None = None
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def quantized_share(self) -> float | None:
        if self.quantized_weights is None or not self.planned_weights:
            return None
        return self.quantized_weights / self.planned_weights

    @property
    def all_problems(self) -> list[ArtifactProblem]:
        """With the faults that its check found."""
        faults = self.check.faults if self.check else []
        found = [ArtifactProblem(kind=ProblemKind(each.kind), text=each.text) for each in faults]
        known = {problem.kind for problem in self.problems}
        return [*self.problems, *(problem for problem in found if problem.kind not in known)]

    @property
    def may_load(self) -> bool:
        """Whether nothing has failed to load it yet."""
        return all(each.kind is not ProblemKind.NOT_LOADED for each in self.all_problems)

    def problems_but(self, *kinds: ProblemKind) -> list[ArtifactProblem]:
        """Its problems of all other kinds."""
        return [problem for problem in self.problems if problem.kind not in kinds]
