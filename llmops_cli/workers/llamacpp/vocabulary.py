"""A Hugging Face tokenizer as GGUF metadata. Refuses what llama.cpp would tokenize differently."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf

from _shared.protocol import JobError
from llamacpp.splits import split_name

SPECIAL_TYPES = ("bos", "eos", "unk", "sep", "pad", "mask")
UNLISTED_SCORE = -10000.0
UNMERGED_SCORE = -1e6
SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space."""

# tokenizer.json and tokenizer_config.json as they are.
Json = dict[str, Any]


def add_vocabulary(
    writer: gguf.GGUFWriter,
    folder: Path,
    *,
    size: int,
    space_prefix: bool | None,
) -> None:
    """Writes tokens, types, merges or scores, special ids and the chat template.

    `space_prefix` None means: as the tokenizer's own normalizer says.
    Raises: JobError for a tokenizer that llama.cpp has not.
    """
    has_merges = _add_tokens(writer, folder, size, space_prefix=space_prefix)
    special = gguf.SpecialVocab(
        folder, load_merges=has_merges, special_token_types=SPECIAL_TYPES, n_vocab=size
    )
    special.add_special_token["bos"] = adds_bos(folder)
    special.add_to_gguf(writer, quiet=True)


def _add_tokens(
    writer: gguf.GGUFWriter,
    folder: Path,
    size: int,
    *,
    space_prefix: bool | None,
) -> bool:
    """Whether the tokens go with merges; others have scores."""
    path = folder / "tokenizer.json"
    if (folder / "tokenizer.model").exists():
        vocabulary = sentencepiece_vocabulary(folder, size)
        vocabulary.add_with_scores(writer, space_prefix=space_prefix is not False)
        return False
    if not path.exists():
        message = f"{folder} has no tokenizer.json or tokenizer.model"
        raise JobError("UsageError", message, "copy the model's tokenizer there")
    tokenizer = json.loads(path.read_text())
    kind = tokenizer["model"].get("type", "BPE")
    if kind != "BPE":
        message = f"{path}: a {kind} tokenizer is not supported"
        raise JobError("UsageError", message, "BPE and SentencePiece are")
    if tokenizer["model"].get("byte_fallback"):
        if space_prefix is None:
            space_prefix = prepends_space(tokenizer)
        vocabulary = byte_fallback_vocabulary(tokenizer, size)
        vocabulary.add_with_scores(writer, space_prefix=space_prefix)
        return False
    vocabulary = byte_level_vocabulary(tokenizer, size)
    split = split_name(tokenizer, path)
    vocabulary.add_with_split(writer, split=split)
    return True


class TokenTable:
    """Tokens by number with their types and scores; unused padding where a tokenizer has none."""

    def __init__(self, size: int, *, score: float = 0.0) -> None:
        self.tokens = [f"[PAD{number}]" for number in range(size)]
        unused = int(gguf.TokenType.UNUSED)
        self.types = [unused] * size
        self.scores = [score] * size

    def set(
        self,
        number: int,
        text: str,
        kind: gguf.TokenType,
        *,
        score: float = 0.0,
    ) -> None:
        self.tokens[number] = text
        self.types[number] = int(kind)
        self.scores[number] = score

    def overlay(self, added: list[Json]) -> None:
        """Tokens that were added to a trained tokenizer."""
        for entry in added:
            number = entry["id"]
            if number >= len(self.tokens):
                continue
            text = entry["content"]
            if entry.get("special", False):
                self.tokens[number] = text
                kind = gguf.TokenType.CONTROL
            else:
                # llama.cpp compares user-defined tokens with raw text
                self.tokens[number] = text.replace(SPACE_MARK, " ")
                kind = gguf.TokenType.USER_DEFINED
            self.types[number] = int(kind)

    def add_with_split(self, writer: gguf.GGUFWriter, *, split: str) -> None:
        """As byte-level BPE, which finds tokens by merges."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(split)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)

    def add_with_scores(self, writer: gguf.GGUFWriter, *, space_prefix: bool) -> None:
        """As SentencePiece, which finds tokens by scores."""
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(self.tokens)
        writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        writer.add_add_space_prefix(space_prefix)


def byte_level_vocabulary(tokenizer: Json, size: int) -> TokenTable:
    vocabulary = TokenTable(size)
    pieces = tokenizer["model"]["vocab"]
    for text, number in pieces.items():
        vocabulary.set(number, text, gguf.TokenType.NORMAL)
    added = tokenizer.get("added_tokens", [])
    vocabulary.overlay(added)
    return vocabulary


def byte_fallback_vocabulary(tokenizer: Json, size: int) -> TokenTable:
    """SentencePiece BPE stored as tokenizer.json.

    A piece's score is minus the rank of the merge that makes it.
    """
    model = tokenizer["model"]
    pieces = model["vocab"]
    ranks = _merge_ranks(model["merges"])
    last_rank = len(ranks)
    vocabulary = TokenTable(size, score=UNMERGED_SCORE)
    for text, number in pieces.items():
        kind = gguf.TokenType.NORMAL
        if _is_byte(text):
            kind = gguf.TokenType.BYTE
        rank = ranks.get(text, last_rank)
        vocabulary.set(number, text, kind, score=-float(rank))
    added = tokenizer.get("added_tokens", [])
    vocabulary.overlay(added)
    unknown = pieces.get(model.get("unk_token"))
    if unknown is not None:
        vocabulary.types[unknown] = int(gguf.TokenType.UNKNOWN)
    return vocabulary


def _merge_ranks(merges: list[Any]) -> dict[str, int]:
    """What a merge makes -> its first place; a merge is a pair, or a text with a space."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        made = "".join(parts)
        ranks.setdefault(made, rank)
    return ranks


def _is_byte(text: str) -> bool:
    """Such as <0x0A>."""
    is_bracketed = text.startswith("<0x") and text.endswith(">")
    return is_bracketed and len(text) == 6


def sentencepiece_vocabulary(folder: Path, size: int) -> TokenTable:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor()
    pieces.LoadFromFile(str(folder / "tokenizer.model"))
    vocabulary = TokenTable(size, score=UNLISTED_SCORE)
    count = min(pieces.vocab_size(), size)
    for number in range(count):
        vocabulary.set(
            number,
            pieces.IdToPiece(number),
            _kind_of_piece(pieces, number),
            score=pieces.GetScore(number),
        )
    _overlay_replaceable(vocabulary, _added_tokens(folder))
    return vocabulary


def _kind_of_piece(pieces: Any, number: int) -> gguf.TokenType:
    kinds: tuple[tuple[Callable[[int], bool], gguf.TokenType], ...] = (
        (pieces.IsUnknown, gguf.TokenType.UNKNOWN),
        (pieces.IsControl, gguf.TokenType.CONTROL),
        (pieces.IsUnused, gguf.TokenType.UNUSED),
        (pieces.IsByte, gguf.TokenType.BYTE),
    )
    for is_of_kind, kind in kinds:
        if is_of_kind(number):
            return kind
    return gguf.TokenType.NORMAL


def _added_tokens(folder: Path) -> list[Json]:
    """Of both files, each with its number."""
    config = _read_if_there(folder / "tokenizer_config.json")
    added: list[Json] = []
    numbered = config.get("added_tokens_decoder", {})
    for number, entry in numbered.items():
        added_token = {"id": int(number), **entry}
        added.append(added_token)
    tokenizer = _read_if_there(folder / "tokenizer.json")
    added += tokenizer.get("added_tokens", [])
    return added


def _overlay_replaceable(vocabulary: TokenTable, added: list[Json]) -> None:
    """Only where SentencePiece itself has no unknown token and no byte."""
    replaceable = (
        gguf.TokenType.NORMAL,
        gguf.TokenType.CONTROL,
        gguf.TokenType.USER_DEFINED,
        gguf.TokenType.UNUSED,
    )
    found = []
    for entry in added:
        number = entry["id"]
        if vocabulary.types[number] in replaceable:
            found.append(entry)
    vocabulary.overlay(found)


def prepends_space(tokenizer: Json) -> bool:
    """Whether the tokenizer puts a space before a text."""
    pre = tokenizer.get("pre_tokenizer") or {}
    scheme = pre.get("prepend_scheme")
    if scheme in ("always", "first"):
        return True
    normalizer = tokenizer.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    kinds = [step.get("type") for step in steps]
    return "Prepend" in kinds


def adds_bos(folder: Path) -> bool:
    """Whether the tokenizer itself puts BOS first; llama.cpp would otherwise guess."""
    config = _read_if_there(folder / "tokenizer_config.json")
    said = config.get("add_bos_token")
    if isinstance(said, bool):
        return said
    path = folder / "tokenizer.json"
    if not path.exists():
        return True  # a bare SentencePiece model: Llama, Mistral and Gemma all start with BOS
    tokenizer = json.loads(path.read_text())
    post = tokenizer.get("post_processor") or {}
    steps = post.get("processors", [post])
    for step in steps:
        if step.get("type") == "TemplateProcessing":
            template = step["single"]
            if template and "SpecialToken" in template[0]:
                return True
    return False


def _read_if_there(path: Path) -> Json:
    if not path.exists():
        return {}
    text = path.read_text()
    return dict(json.loads(text))
