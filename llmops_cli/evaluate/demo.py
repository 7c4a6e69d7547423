"""Exact match per skill of the demo task, by greedy generation over the OpenAI API."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.demo_task import Example, evaluation_examples
from llmops_cli.evaluate.evaluator import Scores
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    Filtered,
    Unanswered,
)
from llmops_cli.runtime.outcomes import work_off

MOST_TOKENS = 48
SETTINGS = ChatSettings(max_tokens=MOST_TOKENS, timeout_s=60.0, concurrency=8)


def evaluate(
    url: str,
    model: str,
    *,
    per_skill: int,
    progress: Progress,
) -> Scores:
    """Skill -> share of exactly right answers, and `average` over the skills.

    Raises: EngineFailed if the server stops answering.
    """
    examples = evaluation_examples(per_skill)
    endpoint = ChatEndpoint(url=url, model=model)
    verdicts = asyncio.run(_verdicts(endpoint, examples, progress))
    return _scores(examples, verdicts)


async def _verdicts(
    endpoint: ChatEndpoint,
    examples: Sequence[Example],
    progress: Progress,
) -> list[bool]:
    """Whether each is answered exactly right, in order."""
    verdicts = [False] * len(examples)
    done = 0
    async with ChatClient(endpoint, SETTINGS) as client:

        async def judge(place: int) -> None:
            nonlocal done
            example = examples[place]
            verdicts[place] = await _answer(client, example) == example.answer
            done += 1
            progress.update("evaluating", done, len(examples))

        await work_off(
            range(len(examples)),
            judge,
            concurrency=SETTINGS.concurrency,
            should_stop=lambda: None,
        )
    return verdicts


def _scores(examples: Sequence[Example], verdicts: Sequence[bool]) -> Scores:
    by_skill: dict[str, list[bool]] = {}
    for example, verdict in zip(examples, verdicts, strict=True):
        of_skill = by_skill.setdefault(example.skill, [])
        of_skill.append(verdict)
    scores = {}
    for skill in sorted(by_skill):
        scores[skill] = statistics.fmean(by_skill[skill])
    scores["average"] = statistics.fmean(scores.values())
    return scores


async def _answer(client: ChatClient, example: Example) -> str:
    try:
        answer = await client.answer(example.prompt)
    except (Unanswered, Filtered) as failed:
        raise EngineFailed("the engine stopped answering during evaluation") from failed
    return answer.text.strip()
