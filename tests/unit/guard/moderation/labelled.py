"""Invented texts with categories: what is hateful or violent in them are words of no language."""

from __future__ import annotations

import json
import random
from pathlib import Path

HATEFUL = ("vermokk", "snorblin", "grutchel", "plimbags")
VIOLENT = ("krasht", "bludgem", "stabbolt", "wrekkit")
PLAIN_TEXT = """
the meeting was moved to thursday and nobody told the people from the harbour about it so we had
coffee and spoke of ships rain bread old songs and what the winter may bring
"""
PLAIN = PLAIN_TEXT.split()


def sentence(rng: random.Random, *marked: tuple[str, ...]) -> str:
    words = rng.choices(PLAIN, k=14)
    for kind in marked:
        words.insert(rng.randrange(len(words)), rng.choice(kind))
    return " ".join(words)


def write_labelled(path: Path, *, rows: int = 400) -> None:
    """A fourth is hateful, a fourth violent, a twentieth both; four are sexual."""
    rng = random.Random(0)
    lines = []
    for number in range(rows):
        kinds = []
        if number % 4 == 0:
            kinds.append(("hate", HATEFUL))
        if number % 4 == 1 or number % 20 == 0:
            kinds.append(("violence", VIOLENT))
        row = {
            "text": sentence(rng, *(words for _, words in kinds)),
            "categories": [name for name, _ in kinds],
        }
        if number in {2, 6, 10, 14}:
            row["categories"].append("sexual")
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines))
