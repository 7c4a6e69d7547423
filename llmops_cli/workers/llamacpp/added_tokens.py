"""Tokens that were added to a trained tokenizer: where they are told of, and what they strip."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import gguf

from _shared.protocol import JobError
from llamacpp.added_numbers import number_of, other_number
from llamacpp.named_specials import NamedSpecials, named_specials
from llamacpp.notices import TOKENS_LEFT_OUT, Notice
from llamacpp.sentencepiece_model import piece_numbers
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import Json, read_if_there
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


STRIPS = ("lstrip", "rstrip", "single_word")
FLAGS = (*STRIPS, "normalized", "special")
UNNUMBERED = -1
"""Of one that is told without a number: it gets the next."""


class AddedToken(NamedTuple):
    number: int
    text: str
    special: bool = False
    normalized: bool = False
    strips: tuple[str, ...] = ()
    """Of lstrip, rstrip and single_word."""


def added_tokens(folder: Path, *, keeps_list: bool = True) -> list[AddedToken]:
    """As Transformers has them, by number; those beyond the model's vocabulary too.

    `keeps_list`: whether it takes those that tokenizer.json lists as they are.
    Raises: JobError for a token without a text or a number. An empty text is never found.
    """
    special = named_specials(folder)
    path = folder / "tokenizer.json"
    tokenizer = read_tokenizer(path)
    listed = [_read(entry, folder) for entry in tokenizer.get("added_tokens") or []]
    told = _told(folder, special, listed)
    given = {token.text: token for token in listed if keeps_list and token.text}
    pieces = _pieces(tokenizer)
    if not path.exists():
        path = folder / "tokenizer.model"
        pieces = piece_numbers(path)
    numbers = {text: token.number for text, token in given.items()}
    for token in _added(told, special, given):
        number = number_of(token.text, pieces, numbers)
        if token.number not in (UNNUMBERED, number):
            raise other_number(token.text, token.number, number, pieces, path)
        numbers[token.text] = number
        given[token.text] = token._replace(number=number)
    return sorted(given.values())


def _pieces(tokenizer: Json) -> dict[str, int]:
    """None of a model that keeps them otherwise, which is refused elsewhere."""
    found = (tokenizer.get("model") or {}).get("vocab")
    return found if isinstance(found, dict) else {}


def _told(
    folder: Path,
    special: NamedSpecials,
    listed: list[AddedToken],
) -> dict[int, AddedToken]:
    """By number: those of tokenizer_config.json, or those that older releases kept elsewhere.

    Source: transformers 5.23, tokenization_utils_base.py, _from_pretrained.
    """
    config = read_if_there(folder / "tokenizer_config.json")
    found: dict[int, AddedToken] = {}
    if "added_tokens_decoder" in config:
        tokens = [_read(entry, folder) for entry in _decoder_entries(folder, config)]
        return {token.number: token for token in tokens if token.text}
    names = {entry["content"] for entry in (*special.by_role, *special.others)}
    for text, number in read_if_there(folder / "added_tokens.json").items():
        entry = {"id": number, "content": text, "special": text in names}
        found[number] = _read(entry, folder)
    found.update((token.number, token) for token in listed)
    return {number: token for number, token in found.items() if token.text}


def _decoder_entries(folder: Path, config: Json) -> Iterable[Json]:
    decoder = config["added_tokens_decoder"]
    if not isinstance(decoder, dict) or not all(
        isinstance(each, dict) for each in decoder.values()
    ):
        message = f"{folder}: added_tokens_decoder is no object of tokens by number"
        raise JobError("UsageError", message, "download the tokenizer's files again")
    for number, entry in decoder.items():
        yield {**entry, "id": int(number) if number.isdecimal() else number}


def _added(
    told: Mapping[int, AddedToken],
    special: NamedSpecials,
    given: Mapping[str, AddedToken],
) -> list[AddedToken]:
    """What is not given, or is told otherwise, in the order in which Transformers adds it.

    Source: transformers 5.23, tokenization_utils_tokenizers.py, __init__.
    """
    added: dict[str, AddedToken] = {}
    for number in sorted(told):
        token = told[number]
        if not _is_same(token, given.get(token.text)):
            added[token.text] = _promoted(token, special)
    for entry in (*special.by_role, *special.others):
        token = _flagged(entry, UNNUMBERED)
        if token.text not in given:
            added.setdefault(token.text, token)
    return list(added.values())


def _promoted(token: AddedToken, special: NamedSpecials) -> AddedToken:
    """Special where it has a role."""
    has_role = any(entry["content"] == token.text for entry in special.by_role)
    return token._replace(special=token.special or has_role)


def _is_same(token: AddedToken, other: AddedToken | None) -> bool:
    return other is not None and token._replace(number=other.number) == other


def _read(entry: Json, folder: Path) -> AddedToken:
    text = entry.get("content")
    number = entry.get("id")
    if not isinstance(text, str) or type(number) is not int or number < 0:
        message = f"{folder}: an added token is {text!r:.60}, number {number!r:.60}"
        raise JobError("UsageError", message, "download the tokenizer's files again")
    for flag in FLAGS:
        if not isinstance(entry.get(flag, False), bool):
            message = f"{folder}: {flag} of added token {text!r:.60} is {entry[flag]!r:.60}"
            raise JobError("UsageError", message, "download the tokenizer's files again")
    return _flagged(entry, number)


def _flagged(entry: Json, number: int) -> AddedToken:
    special = bool(entry.get("special", False))
    return AddedToken(
        number=number,
        text=entry["content"],
        special=special,
        normalized=bool(entry.get("normalized", not special)),
        strips=tuple(name for name in STRIPS if entry.get(name)),
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
