"""Tokens that were added to a trained tokenizer: where they are told of, and what they strip."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import gguf

from _shared.protocol import JobError
from llamacpp.notices import TOKENS_LEFT_OUT, Notice
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import Json, named_tokens, read_if_there, special_texts
from llamacpp.tokenizer_form import read_tokenizer

SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space."""
CACHED = (
    int(gguf.TokenType.CONTROL),
    int(gguf.TokenType.USER_DEFINED),
    int(gguf.TokenType.UNKNOWN),
)
"""Kinds that llama.cpp looks for in a text before it splits it."""
PHI3_MARK = "phi-3"
NAMED_PATHS = re.compile(r"phi-?3|modern-bert", re.IGNORECASE)
"""Names of models at which llama.cpp changes what tokens strip (llama-vocab.cpp)."""
PHI3_KEEPS = ("<unk>", "<s>", "<|endoftext|>")
"""In that path these strip nothing, "</s>" does, and all four must be there."""


class AddedToken(NamedTuple):
    number: int
    text: str
    special: bool = False
    normalized: bool = False
    strips: tuple[str, ...] = ()
    """Of lstrip, rstrip and single_word."""


def added_tokens(folder: Path) -> list[AddedToken]:
    """As Transformers has them, by number; those beyond the model's vocabulary too.

    Raises: JobError for a token without a text or a number. An empty text is never found.
    """
    found: dict[int, AddedToken] = {}
    config = read_if_there(folder / "tokenizer_config.json")
    special_texts = set(named_tokens(folder).values())
    for entry in _entries(folder, config):
        token = _read(entry, special_texts, folder)
        if token.text:
            found[token.number] = token
    for token in _named_alone(folder, found):
        found[token.number] = token
    return [found[number] for number in sorted(found)]


def _entries(folder: Path, config: Json) -> Iterable[Json]:
    """Later ones win."""
    legacy = read_if_there(folder / "added_tokens.json")
    for text, number in legacy.items():
        yield {"id": number, "content": text}
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict) or not all(
        isinstance(each, dict) for each in decoder.values()
    ):
        message = f"{folder}: added_tokens_decoder is no object of tokens by number"
        raise JobError("UsageError", message, "download the tokenizer's files again")
    for number, entry in decoder.items():
        yield {**entry, "id": int(number) if number.isdecimal() else number}
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    yield from tokenizer.get("added_tokens") or []


def _named_alone(
    folder: Path,
    found: Mapping[int, AddedToken],
) -> list[AddedToken]:
    """Special tokens that a configuration names and no list has: they get the next numbers.

    Source: transformers 5.23, tokenization_utils_tokenizers.py, __init__.
    """
    pieces = (read_tokenizer(folder / "tokenizer.json").get("model") or {}).get("vocab")
    if not isinstance(pieces, dict):
        return []
    known = {*pieces, *(token.text for token in found.values())}
    texts = [text for text in special_texts(folder) if text and text not in known]
    first = max(len(pieces), max(found, default=-1) + 1)
    return [
        AddedToken(number, text, special=True)
        for number, text in enumerate(dict.fromkeys(texts), first)
    ]


def _read(
    entry: Json,
    special_texts: set[str],
    folder: Path,
) -> AddedToken:
    text = entry.get("content")
    number = entry.get("id")
    if not isinstance(text, str) or type(number) is not int or number < 0:
        message = f"{folder}: an added token is {text!r:.60}, number {number!r:.60}"
        raise JobError("UsageError", message, "download the tokenizer's files again")
    special = bool(entry.get("special", text in special_texts))
    strips = [name for name in ("lstrip", "rstrip", "single_word") if entry.get(name)]
    return AddedToken(
        number=number,
        text=text,
        special=special,
        normalized=bool(entry.get("normalized", not special)),
        strips=tuple(strips),
    )


def overlay(
    table: TokenTable,
    tokens: list[AddedToken],
    *,
    spaces_are_marked: bool = False,
) -> None:
    """Puts added tokens over trained ones. What the model has no row for is left out.

    `spaces_are_marked`: a normalizer turns spaces to marks, in tokens that are normalized too.
    Raises: JobError for a token with the number of another piece.
    """
    unknown = int(gguf.TokenType.UNKNOWN)
    for token in tokens:
        if token.number >= len(table.tokens):
            continue
        _require_own_place(token, table)
        if table.types[token.number] == unknown:
            continue
        kind = gguf.TokenType.CONTROL if token.special else gguf.TokenType.USER_DEFINED
        text = token.text
        if token.normalized and spaces_are_marked:
            text = text.replace(SPACE_MARK, " ")  # llama.cpp compares with the raw text
        table.set(token.number, text, kind)


def _require_own_place(token: AddedToken, table: TokenTable) -> None:
    piece = table.tokens[token.number]
    is_free = table.types[token.number] == int(gguf.TokenType.UNUSED)
    if is_free or piece == token.text:
        return
    message = f"added token {token.text!r:.60} has number {token.number}, which is {piece!r:.60}"
    raise JobError("UsageError", message, "correct the tokenizer's files, or download them again")


def beyond_notice(tokens: list[AddedToken], size: int) -> Notice | None:
    """What is told of tokens that the model has no row for."""
    beyond = [token.text for token in tokens if token.number >= size]
    if not beyond:
        return None
    named = ", ".join(beyond[:3])
    text = f"{len(beyond)} added tokens have no row in a vocabulary of {size}, left out: {named}"
    return Notice(TOKENS_LEFT_OUT, text)


def name_for(
    name: str,
    table: TokenTable,
    tokens: list[AddedToken],
) -> str:
    """The model's name, at which llama.cpp strips just what this tokenizer strips.

    Raises: JobError for tokens that strip what llama.cpp cannot be told.
    """
    inside = [token for token in tokens if token.number < len(table.tokens)]
    stripping = {token.text for token in inside if token.strips}
    if not stripping:
        return NAMED_PATHS.sub(_harmless, name)
    are_right = all(token.strips in ((), ("rstrip",)) for token in inside)
    if are_right and stripping == _stripped_by_phi3(table):
        return name if NAMED_PATHS.search(name) else f"{PHI3_MARK} {name}"
    example = next(token for token in inside if token.strips)
    raise JobError(
        "UsageError",
        f"token {example.text!r} has {example.strips[0]}: llama.cpp has no such attribute "
        f"(but for all tokens of Phi-3); {len(stripping)} tokens have",
        "a tokenizer whose added tokens strip nothing converts",
    )


def _harmless(match: re.Match[str]) -> str:
    """Phi3 -> Phi_3."""
    found = match.group()
    if found[-1] == "3":
        return f"{found.rstrip('-3')}_3"
    return found.replace("-", "_")


def _stripped_by_phi3(table: TokenTable) -> set[str]:
    """The tokens that strip what follows in llama.cpp's path; none where that path would end it."""
    numbers = table.numbers()
    if any(text not in numbers for text in (*PHI3_KEEPS, "</s>")):
        return set()
    pairs = zip(table.tokens, table.types, strict=True)
    stripped = {text for text, kind in pairs if kind in CACHED}
    stripped.add("</s>")
    return stripped.difference(PHI3_KEEPS)
