"""What tokens cost, as arithmetic: nobody's table of prices."""

from __future__ import annotations

import msgspec

__all__ = ["Prices"]

PER_MILLION = 1e6


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Money for a million tokens."""

    input: float = 0.0
    output: float = 0.0

    @property
    def are_given(self) -> bool:
        return bool(self.input or self.output)

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Money for so many tokens."""
        prompts = input_tokens * self.input
        answers = output_tokens * self.output
        return (prompts + answers) / PER_MILLION
