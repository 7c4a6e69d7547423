"""What a model says of some tokens in Transformers, kept so that a copy can be compared with it.

Shapes: N positions that are compared, V vocabulary.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from _shared.arrays import Floats

FACTS = "reference.json"


@dataclass(frozen=True)
class Passage:
    """Tokens, and the positions after which the next token is compared.

    `window`: the sliding window that the model was given for it, in place of its own.
    """

    tokens: list[int]
    positions: list[int]
    width: int
    window: int | None = None


@dataclass(frozen=True)
class TokenizedText:
    """A text and its tokens."""

    text: str
    tokens: list[int]


@dataclass(frozen=True)
class Reference:
    """All that is kept, but for the logits. `window`: tokens that a layer looks back on at most."""

    passages: list[Passage]
    texts: list[TokenizedText]
    window: int | None
    facts: dict[str, Any] = field(default_factory=dict)


def write_reference(folder: Path, found: Reference) -> None:
    """Its facts; `logits_path` says where the numbers belong."""
    text = json.dumps(asdict(found), ensure_ascii=True)
    (folder / FACTS).write_text(text)


def read_reference(folder: Path) -> Reference:
    raw = json.loads((folder / FACTS).read_text())
    return Reference(
        passages=[Passage(**each) for each in raw["passages"]],
        texts=[TokenizedText(**each) for each in raw["texts"]],
        window=raw["window"],
        facts=raw["facts"],
    )


def logits_path(folder: Path, number: int) -> Path:
    """Of the passage of this number."""
    return folder / f"logits-{number}.f32"


def write_logits(folder: Path, number: int, logits_NV: Floats) -> None:
    logits_NV.astype(np.float32).tofile(logits_path(folder, number))


def kept_logits(folder: Path, number: int, passage: Passage) -> Floats:
    """Shape (N, V), read from the file as it is used."""
    shape = (len(passage.positions), passage.width)
    path = logits_path(folder, number)
    logits_NV: Floats = np.memmap(path, dtype=np.float32, mode="r", shape=shape)
    return logits_NV
