"""How often bands of other widths would hold published speeds and training figures, drawn.

python -m benchmarks.plan_calibration REFS.json -o docs/plan-calibration.svg

A band is widened or narrowed as a normal error's would be; on the diagonal it holds as it says.
One curve has the defaults (a fit, not a test), the other leaves each row's source out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import NormalDist

from llmops_cli.plan.check import check_references
from llmops_cli.plan.references import published_number, read_references
from llmops_cli.plan.report import CheckedRow
from llmops_cli.sizing.figures import BAND_RATE

ESTIMATED = ("tps", "train_memory", "train_tps")
RATES = [step / 20 for step in range(1, 20)]
SIZE = 320
EDGE = 48
COLORS = {"defaults": "#3366cc", "source left out": "#cc5533"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("references", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    scores = {
        "defaults": scores_of(check_references(asked.references, fit_sources=None).rows),
        "source left out": left_out(asked.references),
    }
    curves = {name: [coverage(found, rate) for rate in RATES] for name, found in scores.items()}
    asked.output.write_text(drawn(curves, {name: len(found) for name, found in scores.items()}))
    for name, found in scores.items():
        print(f"{name}: {len(found)} rows, {coverage(found, BAND_RATE):.0%} at {BAND_RATE:.0%}")


def left_out(path: Path) -> list[float]:
    """Each source by what all others tell."""
    sources = sorted({row.source for row in read_references(path) if is_estimated(row.quantity)})
    found = []
    for source in sources:
        others = [other for other in sources if other != source]
        rows = check_references(path, fit_sources=others).rows
        found += scores_of(row for row in rows if row.source == source)
    return found


def is_estimated(quantity: str) -> bool:
    return any(part in quantity for part in ESTIMATED)


def scores_of(rows: Iterable[CheckedRow]) -> list[float]:
    """Errors in units of half a band."""
    found = []
    for row in rows:
        truth = published_number(row.published)
        if not is_estimated(row.quantity) or row.missing is not None or not truth:
            continue
        value = float(row.value)  # type: ignore[arg-type]
        edge = float(row.high if truth > value else row.low)  # type: ignore[arg-type]
        half = abs(math.log(edge / value)) or 1e-9
        found.append(abs(math.log(truth / value)) / half)
    return found


def coverage(scores: Sequence[float], rate: float) -> float:
    normal = NormalDist()
    widened = normal.inv_cdf((1 + rate) / 2) / normal.inv_cdf((1 + BAND_RATE) / 2)
    return sum(score <= widened for score in scores) / len(scores)


def drawn(curves: dict[str, list[float]], counts: dict[str, int]) -> str:
    def place(x: float, y: float) -> str:
        return f"{EDGE + x * SIZE:.1f},{EDGE + (1 - y) * SIZE:.1f}"

    parts = [f'<polyline points="{place(0, 0)} {place(1, 1)}" stroke="#999" fill="none"/>']
    for index, (name, shares) in enumerate(curves.items()):
        points = " ".join(place(x, y) for x, y in zip(RATES, shares, strict=True))
        parts.append(
            f'<polyline points="{points}" stroke="{COLORS[name]}" stroke-width="2" fill="none"/>'
        )
        words = f"{name} ({counts[name]} figures)"
        y = EDGE + 16 + 16 * index
        parts.append(f'<text x="{EDGE + 8}" y="{y}" fill="{COLORS[name]}">{words}</text>')
    for step in range(0, 11, 2):
        share = step / 10
        across, down = place(share, share).split(",")
        below = EDGE + SIZE + 16
        parts.append(f'<text x="{across}" y="{below}" text-anchor="middle">{share:.0%}</text>')
        parts.append(f'<text x="{EDGE - 6}" y="{down}" text-anchor="end">{share:.0%}</text>')
    middle = EDGE + SIZE / 2
    title = "rate that a band is meant to hold at"
    bottom = EDGE + SIZE + 36
    parts.append(f'<text x="{middle}" y="{bottom}" text-anchor="middle">{title}</text>')
    parts.append(f'<text x="{EDGE}" y="{EDGE - 12}">share of figures that it holds</text>')
    whole = SIZE + 2 * EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" '
        f'font-family="sans-serif" font-size="12"><rect width="{whole}" height="{whole}" '
        f'fill="white"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    main()
