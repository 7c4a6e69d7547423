"""One question's way to the models: counted, compressed if asked, and ended at its limit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.prompt.techniques.technique import Message, Said, Spent
from llmops_cli.prompt_file.compression import compressed
from llmops_cli.runtime.chat import ChatClient

CUT = "length"


class AskSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`calls`: for one question at most. `compress`: tokens that a prompt should have at most."""

    calls: int
    compress: int | None = None


class Usage(msgspec.Struct, kw_only=True):
    """What one question took. Answers of a run that was broken off count as they did then.

    `saved_tokens`: estimated, of compressed prompts. `cost` is None without prices.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    latency_s: float = 0.0
    saved_tokens: int = 0

    def add(self, other: Usage) -> None:
        """Both together."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.latency_s += other.latency_s
        self.saved_tokens += other.saved_tokens
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost


class QuestionAsker:
    """An `Ask` of one question."""

    def __init__(
        self,
        model: ChatClient,
        evaluator: ChatClient,
        settings: AskSettings,
    ) -> None:
        self._model = model
        self._evaluator = evaluator
        self._settings = settings
        self.usage = Usage()

    async def __call__(
        self,
        messages: Sequence[Message],
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        repeat: int = 0,
        as_evaluator: bool = False,
    ) -> Said:
        """Raises: Spent at the question's limit, and what the client raises."""
        if self.usage.calls >= self._settings.calls:
            raise Spent
        self.usage.calls += 1
        client = self._evaluator if as_evaluator else self._model
        answer = await client.answer(
            self._made_smaller(messages),
            temperature=temperature,
            max_tokens=max_tokens,
            stop=tuple(stop),
            repeat=repeat,
        )
        self.usage.add(
            Usage(
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
                cost=answer.cost,
                latency_s=answer.latency_s,
            )
        )
        return Said(text=answer.text, is_cut=answer.finish_reason == CUT)

    def _made_smaller(self, messages: Sequence[Message]) -> list[Message]:
        if self._settings.compress is None:
            return list(messages)
        found = compressed(messages, most_tokens=self._settings.compress)
        self.usage.saved_tokens += found.tokens_before - found.tokens_after
        return found.messages
