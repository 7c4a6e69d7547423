"""Which of several artifacts to take: the Pareto front of size and quality, and what fits best."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.quantize.report import QuantizedArtifact

GIB = 2**30
MB = 1_000_000


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that can be chosen: nothing is wrong with it, and its loss is known."""

    name: str
    path: str
    size_bytes: int
    need_bytes: int
    loss: float


def candidates_of(artifacts: Sequence[QuantizedArtifact]) -> list[Candidate]:
    """Those that can be chosen. `loss` is the KL divergence from the base, in nats."""
    found = []
    for artifact in artifacts:
        if artifact.kl_divergence is None or artifact.problems:
            continue
        found.append(
            Candidate(
                name=artifact.name,
                path=artifact.path,
                size_bytes=artifact.size_bytes,
                need_bytes=need_bytes(artifact),
                loss=artifact.kl_divergence,
            )
        )
    return found


def need_bytes(artifact: QuantizedArtifact) -> int:
    """The memory in which it was served, or its size if that is unknown."""
    served_bytes = 0
    if artifact.served is not None:
        served_bytes = artifact.served.peak_rss_bytes or 0
    return max(artifact.size_bytes, served_bytes)


def pareto_front(artifacts: Sequence[QuantizedArtifact]) -> set[str]:
    """Names of those that no other beats in both size and loss."""
    rated = candidates_of(artifacts)
    front = set()
    for candidate in rated:
        if not any(_beats(other, candidate) for other in rated):
            front.add(candidate.name)
    return front


def _beats(one: Candidate, other: Candidate) -> bool:
    """Better in size or loss, and in neither worse."""
    is_larger = one.size_bytes > other.size_bytes
    is_worse = one.loss > other.loss
    if is_larger or is_worse:
        return False
    return one.size_bytes < other.size_bytes or one.loss < other.loss


def best_file_that_fits(artifacts: Sequence[QuantizedArtifact], room_bytes: int) -> str:
    """One line: the artifact that loses least among those whose files fit."""
    fitting = [each for each in candidates_of(artifacts) if each.size_bytes <= room_bytes]
    room = f"{room_bytes / MB:,.2f} MB"
    if not fitting:
        return f"no artifact with a known quality has a file within {room}"
    best = min(fitting, key=_loss_then_size)
    return f"best file within {room}: {best.name}, {best.size_bytes / MB:,.2f} MB, at {best.path}"


def best_that_fits(artifacts: Sequence[QuantizedArtifact], room_bytes: int) -> str:
    """One line: the artifact that loses least among those whose serving memory fits."""
    rated = candidates_of(artifacts)
    if not rated:
        return "no artifact has a quality to choose by"
    room = f"{room_bytes / GIB:.2f} GiB"
    fitting = [candidate for candidate in rated if candidate.need_bytes <= room_bytes]
    if not fitting:
        smallest = min(artifacts, key=need_bytes)
        need = f"{need_bytes(smallest) / GIB:.2f}"
        return f"none fits {room}; the smallest, {smallest.name}, needs {need}"
    best = min(fitting, key=_loss_then_size)
    need = f"{best.need_bytes / GIB:.2f} GiB"
    return f"best that fits {room}: {best.name}, {need}, at {best.path}"


def _loss_then_size(candidate: Candidate) -> tuple[float, int]:
    return candidate.loss, candidate.size_bytes
