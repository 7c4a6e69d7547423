"""A byte-level BPE tokenizer.json as tokens that llama.cpp finds by merges."""

from pathlib import Path

import gguf

from _shared.protocol import JobError
from llamacpp.added_tokens import AddedToken, overlay
from llamacpp.merges import pairs_of, reach_all
from llamacpp.notices import COMPOSED, Notice
from llamacpp.splits import split_name
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import Json

COMPOSING = ("NFC",)
TAKES_WHOLE_WORDS = ("llama-bpe", "tekken")
"""Splitting rules with which llama.cpp takes a word that is a token as it is."""
COVERING = (("Isolated", False), ("Removed", True))
NFC_NOTICE = Notice(
    COMPOSED,
    "its tokenizer composes characters (NFC) and llama.cpp does not: text in decomposed form "
    "(e + U+0301 for \u00e9) becomes other tokens",
)


def byte_level_vocabulary(
    tokenizer: Json,
    size: int,
    added: list[AddedToken],
) -> TokenTable:
    table = TokenTable(size)
    numbers = [token.number for token in added]
    for text, number in tokenizer["model"]["vocab"].items():
        if number < size:
            table.set(number, text, gguf.TokenType.NORMAL)
        elif number not in numbers:
            raise too_large(len(tokenizer["model"]["vocab"]), size)
    overlay(table, added)
    return table


def too_large(count: int, size: int) -> JobError:
    return JobError(
        "UsageError",
        f"the tokenizer makes {count} tokens and the model's vocabulary has {size}",
        "they are not of one model, or config.json's vocab_size is wrong",
    )


def byte_level_split(
    tokenizer: Json,
    path: Path,
    added: list[AddedToken],
) -> str:
    """llama.cpp's name of how it splits.

    Raises: JobError for a part that llama.cpp would leave out.
    """
    model = tokenizer["model"]
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field):
            raise _lacks(path, f"{field} {model[field]!r}")
    for step in _steps(tokenizer, "pre_tokenizer"):
        if step.get("add_prefix_space"):
            raise _lacks(path, "add_prefix_space")
        if step.get("type") == "Split" and not _cuts_only(step):
            raise _lacks(path, f"a Split that is {step.get('behavior')}, inverted or of a string")
    split = split_name(tokenizer, path)
    takes_words = bool(model.get("ignore_merges"))
    if takes_words != (split in TAKES_WHOLE_WORDS):
        pairs = pairs_of(model["merges"])
        joined = set(model["vocab"]).difference(token.text for token in added)
        if not reach_all(joined, pairs):
            raise _lacks(path, f"ignore_merges {takes_words} with the splitting rule '{split}'")
    return split


def normalizer_notice(tokenizer: Json, path: Path) -> Notice | None:
    """What llama.cpp reads differently in few texts.

    Raises: JobError for a normalizer that changes ordinary text.
    """
    notice = None
    for step in _steps(tokenizer, "normalizer"):
        if step.get("type") not in COMPOSING:
            raise _lacks(path, f"the normalizer {step.get('type')}")
        notice = NFC_NOTICE
    return notice


def _steps(tokenizer: Json, part: str) -> list[Json]:
    whole = tokenizer.get(part)
    if not whole:
        return []
    return list(whole.get("normalizers", whole.get("pretokenizers", [whole])))


def _cuts_only(step: Json) -> bool:
    """Nothing of a text that the pattern covers is lost."""
    return (step.get("behavior"), bool(step.get("invert"))) in COVERING


def _lacks(path: Path, what: str) -> JobError:
    message = f"{path}: llama.cpp's byte-level BPE does not have {what}"
    return JobError("UsageError", message, "a tokenizer without it converts")
