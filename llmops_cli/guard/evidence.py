"""What speaks for an attack, and how much."""

from __future__ import annotations

import msgspec

ATTACK = 1.0
DISGUISE = 0.3
"""Added where a rule holds only for what was decoded: honest text has no need of it."""
HIDDEN_TEXT = "hidden_text"

Span = tuple[int, int]
"""Characters."""


class Evidence(msgspec.Struct, frozen=True):
    """A rule that holds.

    In which view (empty: the text itself), and where in the text as it came. `says_again`: what
    other rules say of the same text. `is_strong`: elsewhere it would be an attack by itself.
    """

    rule: str
    family: str
    weight: float
    view: tuple[str, ...]
    span: Span
    text: str = ""
    says_again: bool = False
    is_strong: bool = False


class Scan(msgspec.Struct, frozen=True):
    """`score` 1 and more is an attack; `evidence` adds up to it."""

    score: float
    evidence: tuple[Evidence, ...] = ()

    @property
    def is_explained(self) -> bool:
        """Whether what would be an attack by itself is none where it stands: quoted, told of."""
        return self.score < ATTACK and any(item.is_strong for item in self.evidence)

    @property
    def family(self) -> str:
        """The one with most of the evidence.

        Meanings, which say again what phrases say, do not outvote those.
        """
        phrases = [item for item in self.evidence if not item.says_again]
        sums: dict[str, float] = {}
        for item in phrases or self.evidence:
            sums[item.family] = sums.get(item.family, 0) + item.weight
        return max(sums, key=lambda family: sums[family], default="")
