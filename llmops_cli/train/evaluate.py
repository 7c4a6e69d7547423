"""Exact match per skill of the demo task, by greedy generation over the OpenAI API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from llmops_cli.core.errors import EngineFailed
from llmops_cli.runtime.client import Client, connect
from llmops_cli.train.demo_task import Example, evaluation_examples

PARALLEL = 8


def evaluate(url: str, model: str, *, per_skill: int, on_progress: Callable[[str, int, int], None]) -> dict[str, float]:
    """Skill -> share of exactly right answers, and `average` over the skills.

    Raises: EngineFailed if the server stops answering.
    """
    return asyncio.run(_evaluate(url, model, evaluation_examples(per_skill), on_progress))


async def _evaluate(
    url: str, model: str, examples: list[Example], on_progress: Callable[[str, int, int], None]
) -> dict[str, float]:
    right: dict[str, list[bool]] = {}
    done = 0
    async with connect(url, model, timeout_s=60) as client:
        queue = iter(examples)

        async def worker() -> None:
            nonlocal done
            for example in queue:
                right.setdefault(example.skill, []).append(await _is_right(client, example))
                done += 1
                on_progress("evaluating", done, len(examples))

        await asyncio.gather(*(worker() for _ in range(PARALLEL)))
    scores = {skill: sum(answers) / len(answers) for skill, answers in sorted(right.items())}
    return {**scores, "average": sum(scores.values()) / len(scores)}


async def _is_right(client: Client, example: Example) -> bool:
    try:
        answer = await client.chat(example.prompt, temperature=0, max_tokens=48)
    except (aiohttp.ClientError, TimeoutError, RuntimeError) as error:
        raise EngineFailed(f"the engine stopped answering during evaluation: {error}") from error
    return answer.strip() == example.answer
