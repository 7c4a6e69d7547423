"""What the front wants of an engine. Standard library only."""

from collections.abc import Sequence
from typing import Any, Protocol

from _openai.completion import PendingCompletion

# A message holds what the model's template wants of it, beside its role and content.
Message = dict[str, Any]


class TokenEngine(Protocol):
    """What computes: a model with its tokenizer, and its adapters as further models."""

    @property
    def label(self) -> str:
        """What it is called where it refuses something."""

    @property
    def abilities(self) -> frozenset[str]:
        """Fields that it honours, beside those of `abilities.OF_ANY`."""

    @property
    def models(self) -> Sequence[str]:
        """The model's name, then those of its adapters."""

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""

    @property
    def vocabulary_size(self) -> int:
        """Every token is below."""

    @property
    def longest_token(self) -> int:
        """Characters that one token can stand for."""

    def encode_chat(self, messages: list[Message]) -> list[int]:
        """Tokens of a conversation, up to where the answer begins.

        Raises: ValueError for one that the model's template does not take.
        """

    def encode_text(self, text: str) -> list[int]:
        """Tokens of a plain prompt."""

    @property
    def has_channels(self) -> bool:
        """Whether its chats are written in channels, between marks that are special tokens."""

    def decode(self, tokens: list[int], *, with_marks: bool = False) -> str:
        """Text of tokens, without special ones unless `with_marks`."""

    def submit(self, completion: PendingCompletion) -> None:
        """Begins to compute; returns at once."""

    def gauges(self) -> dict[str, float]:
        """What /metrics tells besides the counts."""

    def failure(self) -> str | None:
        """Why it will compute nothing any more; None while it does."""
