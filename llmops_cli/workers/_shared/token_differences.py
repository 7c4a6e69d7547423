"""Texts that a copy's tokenizer cuts in another way than the original's."""

import unicodedata
from collections.abc import Callable, Sequence

from _shared.protocol import Json
from _shared.reference import TokenizedText

MOST_EXAMPLES = 3
SHOWN_CHARS = 60
SHOWN_TOKENS = 16


def differences_of(
    originals: Sequence[TokenizedText],
    cut: Callable[[str], list[int]],
    *,
    is_known: Callable[[str], bool] = lambda _: False,
) -> Json:
    """How many texts there were, how many the copy cuts otherwise, and some of those.

    `texts_composed`: how many it cuts alike once they are composed (NFC), which some originals do
    themselves and llama.cpp does not. `texts_known`: how many it cuts otherwise as `is_known` has
    it of the text, because its user was told so.
    """
    examples: list[Json] = []
    different = 0
    composed = 0
    known = 0
    for original in originals:
        tokens = cut(original.text)
        if original.tokens == tokens:
            continue
        if original.tokens == cut(unicodedata.normalize("NFC", original.text)):
            composed += 1
            continue
        if is_known(original.text):
            known += 1
            continue
        different += 1
        if len(examples) < MOST_EXAMPLES:
            examples.append(_example(original, tokens))
    return {
        "texts": len(originals),
        "texts_different": different,
        "texts_composed": composed,
        "texts_known": known,
        "examples": examples,
    }


def _example(original: TokenizedText, tokens: list[int]) -> Json:
    """From a little before the first token that is another."""
    same = 0
    for ours, theirs in zip(tokens, original.tokens, strict=False):
        if ours != theirs:
            break
        same += 1
    start = max(same - 1, 0)
    return {
        "text": original.text[:SHOWN_CHARS],
        "original": original.tokens[start : start + SHOWN_TOKENS],
        "copy": tokens[start : start + SHOWN_TOKENS],
    }
