"""A folder with tokenizer.model alone, as tokens that llama.cpp finds by scores."""

from itertools import pairwise
from pathlib import Path

import gguf

from _shared.protocol import JobError
from llamacpp.added_tokens import AddedToken, overlay
from llamacpp.llama_class import puts_space
from llamacpp.sentencepiece_model import Piece, SentencePieceModel, read_model
from llamacpp.token_table import TokenTable

UNLISTED_SCORE = -10000.0
HINT = (
    "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes the tokenizer.json "
    "that Transformers uses"
)


def sentencepiece_vocabulary(
    folder: Path,
    size: int,
    added: list[AddedToken],
) -> tuple[TokenTable, SentencePieceModel]:
    """Raises: JobError for a model that llama.cpp, or Transformers, would read differently."""
    path = folder / "tokenizer.model"
    model = read_model(path)
    _check(model, path)
    table = TokenTable(size, score=UNLISTED_SCORE)
    if len(model.pieces) > size:
        count = len(model.pieces)
        message = f"the tokenizer makes {count} tokens and the model's vocabulary has {size}"
        raise JobError("UsageError", message, "they are not of one model")
    for number, piece in enumerate(model.pieces):
        table.set(number, piece.text, gguf.TokenType(piece.kind), score=piece.score)
    overlay(table, added)
    return table, model


def _check(model: SentencePieceModel, path: Path) -> None:
    if model.kind != "BPE":
        message = f"{path}: a SentencePiece {model.kind} model is not supported"
        lack = "llama.cpp has it without byte fallback, for encoders; BPE converts"
        raise JobError("UsageError", message, lack)
    if model.removes_extra_spaces or model.has_character_map:
        what = "remove_extra_whitespaces"
        if model.has_character_map:
            what = f"normalization '{model.normalization}'"
        message = f"{path}: llama.cpp's SentencePiece has no {what}"
        raise JobError("UsageError", message, HINT)
    if not _scores_follow_numbers(model.pieces):
        message = f"{path}: its scores do not follow its numbers, and Transformers joins by these"
        raise JobError("UsageError", message, HINT)
    missing = 256 - sum(piece.kind == gguf.TokenType.BYTE for piece in model.pieces)
    if missing:
        message = f"{path}: {missing} of 256 byte tokens are missing"
        raise JobError("UsageError", message, "llama.cpp's SentencePiece wants all of them")


def _scores_follow_numbers(pieces: list[Piece]) -> bool:
    scores = [piece.score for piece in pieces if piece.kind == gguf.TokenType.NORMAL]
    return all(one >= other for one, other in pairwise(scores))


def puts_space_first(
    model: SentencePieceModel,
    folder: Path,
    architecture: str,
) -> bool:
    """Raises: JobError where the model says one thing and Transformers does another."""
    does = puts_space(folder, architecture)
    if does != model.adds_dummy_prefix:
        message = (
            f"{folder / 'tokenizer.model'}: add_dummy_prefix is {model.adds_dummy_prefix}, and "
            f"Transformers {'puts' if does else 'puts no'} space before a text"
        )
        raise JobError("UsageError", message, HINT)
    return does
