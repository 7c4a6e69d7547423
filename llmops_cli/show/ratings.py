"""Users' scores by prompt or model, and how sure a difference between two of them is.

Ratings are other requests by other people, so nothing is in pairs.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table

from llmops_cli.core.errors import UsageError
from llmops_cli.core.rating import Rating
from llmops_cli.core.significance import SURE, holm, share_difference
from llmops_cli.core.stats import share_interval
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import lines_in
from llmops_cli.show.tables import MISSING, add_columns, cell, number

RatedBy = Literal["prompt", "model", "upstream", "side"]
NAMELESS = "(none)"
LABELS_SHOWN = 3


class RatedSide(msgspec.Struct, frozen=True, kw_only=True):
    """Of one prompt or model: `n` ratings have a score, `mean` is theirs with its interval."""

    name: str
    ratings: int
    n: int
    mean: float | None
    ci95: tuple[float, float] | None
    labels: dict[str, int]


class RatedPair(msgspec.Struct, frozen=True, kw_only=True):
    """`difference`: b's mean less a's. `better`: a name, or nothing where nobody can tell."""

    a: str
    b: str
    difference: float
    ci95: tuple[float, float]
    p: float
    p_adjusted: float
    better: str = ""


class ComparedRatings(msgspec.Struct, frozen=True, kw_only=True):
    """`replaced`: ratings of a request that has a later one. `unreadable`: lines of no rating."""

    by: RatedBy
    sides: list[RatedSide]
    pairs: list[RatedPair]
    replaced: int = 0
    unreadable: int = 0


class _Read(msgspec.Struct):
    ratings: dict[str, Rating] = {}
    replaced: int = 0
    unreadable: int = 0


def compare_ratings(paths: Sequence[Path], *, by: RatedBy) -> ComparedRatings:
    """Of all files together. Raises: UsageError for files without a rating."""
    read = _read(paths)
    if not read.ratings:
        listed = ", ".join(map(str, paths))
        raise UsageError(f"no rating in {listed}", hint="feedback.jsonl of a gateway's state")
    groups: dict[str, list[Rating]] = defaultdict(list)
    for rating in read.ratings.values():
        groups[getattr(rating, by) or NAMELESS].append(rating)
    sides = [_side(name, groups[name]) for name in sorted(groups)]
    return ComparedRatings(
        by=by,
        sides=sides,
        pairs=_pairs(sides),
        replaced=read.replaced,
        unreadable=read.unreadable,
    )


def _read(paths: Iterable[Path]) -> _Read:
    """The last rating of each request. A line that was cut by a full disk is counted.

    Raises: UsageError for a file that is not there.
    """
    found = _Read()
    decode = msgspec.json.Decoder(Rating).decode
    for path in paths:
        if not path.is_file():
            hint = near_path(path, "feedback.jsonl of a gateway's state")
            raise UsageError(f"no file at {path}", hint=hint)
        for _, line in lines_in(path):
            try:
                rating = decode(line)
            except UNREADABLE:
                found.unreadable += 1
                continue
            found.replaced += rating.request in found.ratings
            found.ratings[rating.request] = rating
    return found


def _side(name: str, ratings: Sequence[Rating]) -> RatedSide:
    scores = [each.score for each in ratings if each.score is not None]
    labels: dict[str, int] = defaultdict(int)
    for label in itertools.chain.from_iterable(each.labels for each in ratings):
        labels[label] += 1
    total = math.fsum(scores)
    often = sorted(labels.items(), key=lambda entry: (-entry[1], entry[0]))
    return RatedSide(
        name=name,
        ratings=len(ratings),
        n=len(scores),
        mean=total / len(scores) if scores else None,
        ci95=share_interval(total, len(scores)) if scores else None,
        labels=dict(often),
    )


def _pairs(sides: Sequence[RatedSide]) -> list[RatedPair]:
    scored = [each for each in sides if each.mean is not None]
    pairs = list(itertools.combinations(scored, 2))
    found = [share_difference((a.mean or 0.0, a.n), (b.mean or 0.0, b.n)) for a, b in pairs]
    adjusted = holm([each.p for each in found])
    return [
        RatedPair(
            a=a.name,
            b=b.name,
            difference=each.difference,
            ci95=each.ci95,
            p=each.p,
            p_adjusted=p,
            better=_better(a.name, b.name, each.difference, p),
        )
        for (a, b), each, p in zip(pairs, found, adjusted, strict=True)
    ]


def _better(a: str, b: str, difference: float, p: float) -> str:
    if p >= SURE:
        return ""
    return b if difference > 0 else a


def ratings_table(found: ComparedRatings) -> Table:
    table = Table(title="users' scores", title_justify="left")
    add_columns(
        table, (found.by, "n", "mean", "95 %", "often said"), words=(found.by, "often said")
    )
    for side in found.sides:
        said = ", ".join(f"{name} ({n})" for name, n in [*side.labels.items()][:LABELS_SHOWN])
        table.add_row(
            cell(side.name),
            f"{side.n:,}",
            number(side.mean),
            _limits(side.ci95),
            cell(said) or MISSING,
        )
    return table


def pairs_table(found: ComparedRatings) -> Table:
    table = Table(title="differences", title_justify="left")
    names = ("a", "b", "b - a", "95 %", "p (Holm)", "better")
    add_columns(table, names, words=("a", "b", "better"))
    for pair in found.pairs:
        table.add_row(
            cell(pair.a),
            cell(pair.b),
            f"{pair.difference:+.3f}",
            _limits(pair.ci95),
            number(pair.p_adjusted),
            cell(pair.better) or "nobody can tell",
        )
    return table


def _limits(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return MISSING
    return f"{limits[0]:.3f} to {limits[1]:.3f}"
