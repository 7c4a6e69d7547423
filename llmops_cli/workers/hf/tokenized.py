"""How a Hugging Face tokenizer begins a text, and how it cuts many texts."""

from pathlib import Path
from typing import Any

from _shared.reference import TokenizedText
from _shared.token_texts import texts_with


def begin_of(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts before a text, whichever of its parts does that."""
    encoded = tokenizer("a")
    first = encoded.input_ids[:1]
    if first == [tokenizer.bos_token_id]:
        return list(first)
    return []


CONFIGS = ("tokenizer_config.json", "tokenizer.json")


def says_what_it_adds(folder: Path) -> bool:
    """Whether the folder tells what stands around a text.

    Of a SentencePiece file alone Transformers and llama.cpp make different guesses.
    """
    return any((folder / name).is_file() for name in CONFIGS)


def tokenized_texts(tokenizer: Any, *, adds_special: bool = True) -> list[TokenizedText]:
    """Of scripts, digits, spaces, code, emoji, and its own added tokens inside texts."""
    added = sorted(tokenizer.get_added_vocab(), key=lambda token: (len(token), token))
    found = []
    for text in texts_with(added):
        tokens = list(tokenizer(text, add_special_tokens=adds_special).input_ids)
        found.append(TokenizedText(text, tokens))
    return found
