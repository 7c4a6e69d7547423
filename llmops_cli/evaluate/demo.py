"""Exact match per skill of the demo task, by greedy generation over the OpenAI API."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.demo_task import Example, evaluation_examples
from llmops_cli.evaluate.evaluator import Scores
from llmops_cli.runtime.http import Http

PARALLEL = 8
TIMEOUT_S = 60.0
MOST_TOKENS = 48


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
    http = Http()

    def is_right(example: Example) -> bool:
        answer = _answer(http, url, model, example)
        return answer == example.answer

    verdicts = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for verdict in pool.map(is_right, examples):
            verdicts.append(verdict)
            progress.update("evaluating", len(verdicts), len(examples))
    return _scores(examples, verdicts)


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


def _answer(
    http: Http,
    url: str,
    model: str,
    example: Example,
) -> str:
    body = {
        "model": model,
        "messages": example.prompt,
        "temperature": 0,
        "max_tokens": MOST_TOKENS,
    }
    reply = http.post_json(f"{url}/v1/chat/completions", body, timeout_s=TIMEOUT_S)
    try:
        choice = (reply or {})["choices"][0]
        return str(choice["message"]["content"]).strip()
    except (KeyError, IndexError, TypeError):
        raise EngineFailed("the engine stopped answering during evaluation") from None
