"""What a technique is: questions in, an answer and what it was read from out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from llmops_cli.prompt.answers.form import AnswerForm, Reading
from llmops_cli.prompt.clusters import Vectors
from llmops_cli.prompt.tools.tool import Tool
from llmops_cli.prompt_file.prompt import Prompt

Message = dict[str, Any]  # Any: a text or parts, as endpoints take them


class Spent(Exception):
    """No more calls for this question: a technique answers with the best that it has."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question with its answer, and the steps that lead there if somebody wrote them."""

    question: str
    answer: str
    reasoning: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the model. `is_cut`: it reached the limit of its tokens."""

    text: str
    is_cut: bool = False


class Ask(Protocol):
    """One question's way to the model: it counts, and ends at the question's own limit.

    None takes what the run was asked for. `repeat`: which sample of the same request, from 0.
    `as_evaluator` asks the model that rates, where there is one of its own.
    """

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
        """Raises: Spent, Unanswered, Filtered, Declined."""
        ...


Embed = Callable[[Sequence[str]], Awaitable[Vectors]]
"""Texts to vectors, which cluster questions."""


class TechniqueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that techniques can be told; each takes what it knows.

    `prompt` has the question in its hole `{{question}}`. `pool`: questions of which auto-cot makes
    its examples. Temperatures of samples are `sampling_temperature`, all others the run's own.
    """

    form: AnswerForm
    prompt: Prompt
    values: Mapping[str, str] = {}
    examples: Sequence[Example] = ()
    shots: int = 4
    pool: Sequence[str] = ()
    embed: Embed | None = None
    samples: int = 40
    confidence: float = 0.95
    stop_rule: str = "beta"
    weights: str = "plain"
    sampling_temperature: float = 0.7
    tools: Mapping[str, Tool] = {}
    max_steps: int = 8
    search: str = "breadth"
    breadth: int = 5
    keep: int = 3
    depth: int = 4
    ratings: int = 1
    rounds: int = 2
    seed: int = 0


class Solution(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a question.

    `text`: what the answer was read from. `trace`: what happened on the way, a line a step.
    """

    reading: Reading
    text: str
    trace: tuple[str, ...] = ()


class Technique(Protocol):
    """A way to ask. `prepare` comes once, before any question, and may ask too."""

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        """Examples that it made for all questions; most make none."""
        ...

    async def solve(self, question: str, ask: Ask) -> Solution:
        """Raises: what `ask` raises, but for Spent where it has an answer already."""
        ...


class MakesTechnique(Protocol):
    """What a table or an entry point of `llmops.techniques` names."""

    def __call__(self, settings: TechniqueSettings) -> Technique: ...
