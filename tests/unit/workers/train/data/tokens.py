"""A real tokenizer of the `tokenizers` library, small enough to make in each test session."""

from __future__ import annotations

from functools import cache
from typing import Any

from train.tokenizer import train_tokenizer

TEXTS = ["the quick brown fox says yes and no", "北京 été", "a b c d e f g 0 1 2 3 4 5 6 7 8 9"]
CHATML = ["<|im_start|>", "<|im_end|>"]


@cache
def demo_tokenizer() -> Any:
    """With the demo's template: <|user|>q<|end|><|assistant|>yes<|end|>."""
    return train_tokenizer(TEXTS, 300)


@cache
def bare_tokenizer() -> Any:
    """Without a template; it knows ChatML's tokens."""
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.add_special_tokens({"additional_special_tokens": CHATML})
    tokenizer.chat_template = None
    return tokenizer


def trained_text(tokenizer: Any, sample: Any) -> list[str]:
    """The runs of tokens that are learned."""
    from train.data.preview import segments_of

    return [text for text, is_trained in segments_of(sample, tokenizer) if is_trained]
