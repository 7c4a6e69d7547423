"""A SentencePiece model, tokenizer.model, read without its library.

Source: sentencepiece_model.proto of google/sentencepiece.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from _shared.protocol import JobError

VARINT = 0
EIGHT_BYTES = 1
BYTES = 2
FOUR_BYTES = 5
MOST_BITS = 70
"""Of a number: ten bytes of seven bits each."""

MODEL_TYPES = {1: "Unigram", 2: "BPE", 3: "Word", 4: "Char"}

Value = int | bytes
"""A number, or what a text, a message or four bytes are made of."""


class Piece(NamedTuple):
    text: str
    score: float = 0.0
    kind: int = 1
    """As GGUF numbers them: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte."""


class SentencePieceModel(NamedTuple):
    pieces: list[Piece]
    kind: str
    normalization: str
    has_character_map: bool
    adds_dummy_prefix: bool
    removes_extra_spaces: bool


def read_model(path: Path) -> SentencePieceModel:
    """Raises: JobError for a file that is none."""
    try:
        return _model_of(path.read_bytes())
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, ValueError):
        message = f"{path} is no SentencePiece model"
        raise JobError("UsageError", message, "download it again") from None


def _model_of(content: bytes) -> SentencePieceModel:
    pieces = []
    trainer: dict[int, Value] = {}
    normalizer: dict[int, Value] = {}
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece_of(value))
        elif number == 2:
            trainer = dict(_fields(_bytes_of(value)))
        elif number == 3:
            normalizer = dict(_fields(_bytes_of(value)))
    if not pieces:
        raise ValueError
    kind = int(trainer.get(3, 1))
    return SentencePieceModel(
        pieces=pieces,
        kind=MODEL_TYPES.get(kind, str(kind)),
        normalization=_bytes_of(normalizer.get(1, b"")).decode(),
        has_character_map=bool(normalizer.get(2)),
        adds_dummy_prefix=bool(normalizer.get(3, 1)),
        removes_extra_spaces=bool(normalizer.get(4, 1)),
    )


def _piece_of(value: Value) -> Piece:
    fields = dict(_fields(_bytes_of(value)))
    (score,) = struct.unpack("<f", _bytes_of(fields.get(2, bytes(4))))
    return Piece(_bytes_of(fields.get(1, b"")).decode(), score, int(fields.get(3, 1)))


def _bytes_of(value: Value) -> bytes:
    if isinstance(value, int):
        raise TypeError
    return value


def _fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind)
        if kind == BYTES:
            size, place = _varint(content, place)
        if size is None or place + size > len(content):
            raise ValueError
        yield key >> 3, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """The number there, and the place after it."""
    value = 0
    for shift in range(0, MOST_BITS, 7):
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError


def piece_numbers(path: Path) -> dict[str, int]:
    """Of the pieces of such a file; none where there is none."""
    if not path.exists():
        return {}
    pieces = read_model(path).pieces
    return {piece.text: number for number, piece in enumerate(pieces)}
