"""SentencePiece BPE in a tokenizer.json, as tokens that llama.cpp finds by scores or merges."""

from pathlib import Path

import gguf

from _shared.protocol import JobError
from llamacpp.added_tokens import SPACE_MARK, AddedToken, overlay
from llamacpp.byte_level import too_large
from llamacpp.merges import Pair, follow_scores, pairs_of, ranks_by_piece
from llamacpp.notices import FIRST_SPACE, Notice
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import Json

UNMERGED_SCORE = -1e6
METASPACE_NOTICE = Notice(
    FIRST_SPACE,
    "its tokenizer puts a space before a text only where none is (and only once); llama.cpp puts "
    "one always, and after each special token: text that begins with a space becomes other tokens",
)


class Spaces:
    """What becomes of spaces before pieces are joined."""

    def __init__(self, tokenizer: Json, path: Path) -> None:
        """Raises: JobError for a normalizer or a cut that llama.cpp does not have."""
        self._path = path
        self.prefix = False
        self.notice: Notice | None = None
        self.are_marked_in_tokens = False
        self.splits_words = False
        for step in _steps(tokenizer, "normalizer", "normalizers"):
            self._normalize(step)
        for step in _steps(tokenizer, "pre_tokenizer", "pretokenizers"):
            self._cut(step)

    def _normalize(self, step: Json) -> None:
        is_mark = step.get("prepend") == SPACE_MARK
        if step.get("type") == "Prepend" and is_mark:
            self.prefix = True
        elif _marks_spaces(step):
            self.are_marked_in_tokens = True
        else:
            raise self._lacks(f"the normalizer {step.get('type')}")

    def _cut(self, step: Json) -> None:
        kind = step.get("type")
        if kind == "Metaspace" and step.get("replacement") == SPACE_MARK:
            scheme = step.get("prepend_scheme", "always")
            if scheme != "never" and step.get("add_prefix_space", True):
                self.prefix = True
                self.notice = METASPACE_NOTICE
            self.splits_words = bool(step.get("split", True))
        elif not (self.are_marked_in_tokens and _cuts_at_spaces(step)):
            raise self._lacks(f"the splitting rule {kind}")

    def _lacks(self, what: str) -> JobError:
        message = f"{self._path}: llama.cpp's SentencePiece does not have {what}"
        return JobError("UsageError", message, "a tokenizer without it converts")


def _marks_spaces(step: Json) -> bool:
    pattern = step.get("pattern") or {}
    is_of_space = step.get("type") == "Replace" and pattern.get("String") == " "
    return is_of_space and step.get("content") == SPACE_MARK


def _cuts_at_spaces(step: Json) -> bool:
    """Which cuts nothing where spaces are marks already."""
    pattern = step.get("pattern") or {}
    return step.get("type") == "Split" and pattern.get("String") == " "


def _steps(tokenizer: Json, part: str, plural: str) -> list[Json]:
    whole = tokenizer.get(part)
    if not whole:
        return []
    return list(whole.get(plural, [whole]))


class ByteFallback:
    """The tokens, and whether llama.cpp finds them by scores; by merges otherwise."""

    def __init__(
        self,
        tokenizer: Json,
        size: int,
        added: list[AddedToken],
        spaces: Spaces,
        path: Path,
    ) -> None:
        """Raises: JobError for pieces that llama.cpp would join differently."""
        model = tokenizer["model"]
        pieces = model["vocab"]
        pairs = pairs_of(model["merges"])
        self.table = byte_fallback_vocabulary(tokenizer, size, added, spaces)
        self.has_scores = follow_scores(pieces, pairs, {token.text for token in added})
        _check_bytes(pieces, path)
        if spaces.splits_words and _any_inner_mark(pieces):
            message = f"{path}: llama.cpp joins pieces across words, and its splitting rule forbids"
            raise JobError("UsageError", f"{message} that", "pieces with a space inside are there")
        if not self.has_scores and (spaces.prefix or not _ends_at_lines(pairs)):
            raise JobError(
                "UsageError",
                f"{path}: llama.cpp's SentencePiece joins pieces by one score each, and these "
                "merges follow no such order",
                "merges as SentencePiece itself would have them convert",
            )


def byte_fallback_vocabulary(
    tokenizer: Json,
    size: int,
    added: list[AddedToken],
    spaces: Spaces,
) -> TokenTable:
    """A piece's score is minus the rank of the merge that makes it."""
    model = tokenizer["model"]
    pieces = model["vocab"]
    ranks = ranks_by_piece(pairs_of(model["merges"]))
    last_rank = len(ranks)
    numbers = {token.number for token in added}
    table = TokenTable(size, score=UNMERGED_SCORE)
    for text, number in pieces.items():
        if number >= size:
            if number not in numbers:
                raise too_large(len(pieces), size)
            continue
        kind = gguf.TokenType.BYTE if is_byte(text) else gguf.TokenType.NORMAL
        rank = ranks.get(text, last_rank)
        table.set(number, text, kind, score=-float(rank))
    overlay(table, added, spaces_are_marked=spaces.are_marked_in_tokens)
    unknown = pieces.get(model.get("unk_token"))
    if unknown is not None and unknown < size:
        table.types[unknown] = int(gguf.TokenType.UNKNOWN)
    return table


def is_byte(text: str) -> bool:
    """Such as <0x0A>."""
    is_bracketed = text.startswith("<0x") and text.endswith(">")
    return is_bracketed and len(text) == 6


def _check_bytes(pieces: Json, path: Path) -> None:
    needed = (value for value in range(256) if value > 127 or chr(value) not in pieces)
    missing = [f"<0x{value:02X}>" for value in needed if f"<0x{value:02X}>" not in pieces]
    if missing:
        message = f"{path}: byte tokens are missing: {len(missing)}, such as {missing[0]}"
        raise JobError("UsageError", message, "llama.cpp's SentencePiece wants all of them")


def _any_inner_mark(pieces: Json) -> bool:
    return any(SPACE_MARK in text[1:] for text in pieces)


def _ends_at_lines(pairs: list[Pair]) -> bool:
    """Whether no merge joins a line's end with something else, where llama.cpp would cut."""
    for left, right in pairs:
        made = left + right
        if "\n" in made and made.strip("\n"):
            return False
    return True
