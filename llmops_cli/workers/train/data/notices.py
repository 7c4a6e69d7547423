"""What a survey found, in words: a line for each thing that is lost or never learned."""

from collections.abc import Sequence

from _shared.protocol import JobError
from train.data.encoder import Encoding
from train.data.survey import Survey

FEW = 10
"""Of the rows that were looked at: of fewer nobody can say how many there are in all."""


def notices_of(name: str, found: Survey, how: Encoding) -> list[str]:
    """Raises: JobError if nothing at all can be learned."""
    counts = found.counts
    if found.is_exact and not counts.supervised_tokens:
        raise _nothing(name, how)
    said = [_summary(name, found)]
    losses = (
        (counts.cut, f"longer than {how.length} tokens: cut", f", {_tokens(found)} are lost"),
        (counts.dropped, f"longer than {how.length} tokens: left out", ""),
        (counts.unsupervised, "without a token to learn", ""),
        (counts.endless, "whose end token is never learned", ": the model may not stop there"),
    )
    for count, what, more in losses:
        if count:
            said.append(f"{name}: {_lost(found, count, what, more)}")
    return said


def _lost(found: Survey, count: int, what: str, more: str) -> str:
    """How many, or that too few were seen to say it."""
    seen = found.seen(count)
    if found.is_exact or seen >= FEW:
        return f"{_of(found, count)} {_samples(count)} {what}{more}"
    return (
        f"samples {what} ({seen} of the {found.looked_at:,} looked at: too few to say how many "
        "in all)"
    )


def _samples(count: int) -> str:
    return "sample" if count == 1 else "samples"


def _summary(name: str, found: Survey) -> str:
    counts = found.counts
    parts = [
        f"{found.size:,} {_samples(found.size)}",
        f"{_of(found, counts.tokens)} tokens",
        f"{_of(found, counts.supervised_tokens)} of them to learn",
    ]
    line = f"{name}: {', '.join(parts)}"
    if not found.is_exact:
        line += f" (estimated from {found.looked_at:,} of them)"
    return line


def _of(found: Survey, count: int) -> str:
    about = "" if found.is_exact else "about "
    return f"{about}{count:,}"


def _tokens(found: Survey) -> str:
    return f"{_of(found, found.counts.cut_tokens)} tokens"


def _nothing(name: str, how: Encoding) -> JobError:
    hint = "a larger --sequence-length, or --train-on all"
    if how.train_on == "all":
        hint = "a larger --sequence-length"
    return JobError("UsageError", f"{name}: no sample has a token to learn", hint)


def shares_line(names: Sequence[str], shares: Sequence[float]) -> str:
    parts = [f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True)]
    return f"of each step's samples: {', '.join(parts)}"
