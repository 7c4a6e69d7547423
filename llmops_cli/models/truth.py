"""Whether a copy of a model says what its original says in Transformers, as it is kept and told."""

from __future__ import annotations

from enum import StrEnum

import msgspec

CHECK_VERSION = 2
"""Of what is compared: a copy that an earlier one found right is compared again."""


class Outcome(StrEnum):
    """What the comparison came to."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"


class FaultKind(StrEnum):
    """In what a copy differs."""

    LOGITS_DIFFER = "logits-differ"
    TOKENS_DIFFER = "tokens-differ"
    LOST_TOO_MUCH = "lost-too-much"
    NOT_LOADED = "not-loaded"
    INCOMPLETE_ORIGINAL = "incomplete-original"
    NOTHING_QUANTIZED = "nothing-quantized"
    OTHER_TENSORS = "other-tensors"


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One difference that is more than the copy's format explains."""

    kind: FaultKind
    text: str


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A copy beside its original.

    `kl_divergence` is the mean of KL(original || copy) after `scored` of the text's tokens, in
    nats; `known_nats` that of a model which knows nothing; `kl_limit` what the format explains.
    `vector_distance`, of models that make vectors, is the largest of 1 - cosine over the texts.
    `texts` were cut into tokens by both, `texts_different` of them in another way, and
    `texts_composed` alike once their characters are composed, `texts_known` otherwise as a notice
    says. `reason` says why nothing was compared, `reference` what computed the original.
    """

    outcome: Outcome
    faults: list[Fault] = []
    reason: str = ""
    reference: str = ""
    scored: int = 0
    kl_divergence: float | None = None
    kl_limit: float | None = None
    known_nats: float | None = None
    top1_agreement: float | None = None
    vector_distance: float | None = None
    texts: int = 0
    texts_different: int = 0
    texts_composed: int = 0
    texts_known: int = 0
    cpu_s: float = 0.0
    peak_rss_bytes: int | None = None
    version: int = CHECK_VERSION

    @property
    def is_settled(self) -> bool:
        """Whether it was compared, in the way in which it would be now.

        What did not load is tried again: the machine may have been too full.
        """
        if any(fault.kind is FaultKind.NOT_LOADED for fault in self.faults):
            return False
        return self.outcome is not Outcome.UNCHECKED and self.version == CHECK_VERSION

    def __str__(self) -> str:
        if self.outcome is Outcome.UNCHECKED:
            return f"not compared with the original: {self.reason}"
        if self.outcome is Outcome.FAILED:
            told = "; ".join(fault.text for fault in self.faults)
            return f"FAILED beside the original: {told}"
        if self.vector_distance is not None:
            return (
                f"as the original: vectors at most {self.vector_distance:.2g} away, "
                f"{self.texts - self.texts_different} of {self.texts} texts cut alike"
            )
        told = (
            f"as the original: KL {self.kl_divergence:.2g} nats (at most {self.kl_limit:.2g}), "
            f"{self.texts - self.texts_composed - self.texts_known} texts cut alike"
        )
        if self.texts_composed:
            told += f", {self.texts_composed} more if their characters are composed first (NFC)"
        if self.texts_known:
            told += f"; {self.texts_known} are not, as the notices say"
        return told


def unchecked(reason: str) -> Truth:
    return Truth(outcome=Outcome.UNCHECKED, reason=reason)


def failed(kind: FaultKind, text: str) -> Truth:
    return Truth(outcome=Outcome.FAILED, faults=[Fault(kind=kind, text=text)])


def with_fault(truth: Truth, kind: FaultKind, text: str) -> Truth:
    """The same with one more fault."""
    fault = Fault(kind=kind, text=text)
    return msgspec.structs.replace(truth, outcome=Outcome.FAILED, faults=[*truth.faults, fault])
