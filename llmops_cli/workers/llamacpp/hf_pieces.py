"""A GGUF file's SentencePiece vocabulary as the BPE of tokenizer.json.

SentencePiece joins the pair whose piece has the highest score, so the merges are the pairs of each
piece in the order of scores.
"""

from collections.abc import Iterator
from typing import Any

import gguf

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile
from llamacpp.gguf_tokens import number_of, tokens_of, types_of

SPACE = "\u2581"
"""What SentencePiece writes for a space."""
JOINED = (gguf.TokenType.NORMAL, gguf.TokenType.USER_DEFINED)

# Parts of tokenizer.json.
Json = dict[str, Any]
Pair = tuple[str, str]


def pieces_model(file: GgufFile) -> Json:
    """Its normalizer, decoder and model."""
    tokens = tokens_of(file)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    unknown = number_of(file, "unknown", tokens)
    has_prefix = bool(file.key("tokenizer.ggml.add_space_prefix", True))
    return {
        "normalizer": _normalizer(has_prefix=has_prefix),
        "pre_tokenizer": None,
        "decoder": _decoder(has_prefix=has_prefix),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None if unknown is None else tokens[unknown],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": list(_merges(file, tokens, vocabulary)),
        },
    }


def _normalizer(*, has_prefix: bool) -> Json:
    marks = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if not has_prefix:
        return marks
    return {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, marks]}


def _decoder(*, has_prefix: bool) -> Json:
    steps: list[Json] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if has_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _merges(
    file: GgufFile,
    tokens: list[str],
    vocabulary: dict[str, int],
) -> Iterator[Pair]:
    """Raises: JobError for a file that does not tell a score of each token."""
    scores = file.key("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        message = f"{file.path} does not tell the scores of its {len(tokens)} tokens"
        raise JobError("UsageError", message, "copy the original folder")
    types = types_of(file, tokens)
    joined = [number for number, kind in enumerate(types) if kind in JOINED]
    for number in sorted(joined, key=lambda each: -scores[each]):
        yield from _pairs(tokens[number], vocabulary)


def _pairs(piece: str, vocabulary: dict[str, int]) -> list[Pair]:
    found = []
    for cut in range(1, len(piece)):
        left = piece[:cut]
        right = piece[cut:]
        if left in vocabulary and right in vocabulary:
            found.append((left, right))
    return sorted(found, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
