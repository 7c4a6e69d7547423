"""Which of several artifacts to take: the Pareto front of size and quality, and the best that
fits.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.quantize.report import QuantizedArtifact


def pareto_front(artifacts: Sequence[QuantizedArtifact]) -> set[str]:
    """Names of those that no other beats in both size and loss (KL divergence)."""
    rated = [a for a in artifacts if a.kl_divergence is not None and not a.problems]
    return {
        a.name
        for a in rated
        if not any(
            b is not a
            and b.size_bytes <= a.size_bytes
            and (b.kl_divergence or 0) <= (a.kl_divergence or 0)
            and (b.size_bytes, b.kl_divergence) != (a.size_bytes, a.kl_divergence)
            for b in rated
        )
    }


def best_that_fits(artifacts: Sequence[QuantizedArtifact], room_bytes: int) -> str:
    """One line: the artifact that loses least among those whose serving memory (or size, if
    unknown) fits.
    """

    def need(a: QuantizedArtifact) -> int:
        return max(a.size_bytes, a.served.peak_rss_bytes or 0 if a.served else 0)

    fitting = [
        a
        for a in artifacts
        if a.kl_divergence is not None and not a.problems and need(a) <= room_bytes
    ]
    if not any(a.kl_divergence is not None and not a.problems for a in artifacts):
        return "no artifact has a quality to choose by"
    if not fitting:
        smallest = min(artifacts, key=need)
        return f"none fits {room_bytes / 2**30:.2f} GiB; the smallest, {smallest.name}, needs {need(smallest) / 2**30:.2f}"
    best = min(fitting, key=lambda a: (a.kl_divergence or 0, a.size_bytes))
    return f"best that fits {room_bytes / 2**30:.2f} GiB: {best.name}, {need(best) / 2**30:.2f} GiB, at {best.path}"
