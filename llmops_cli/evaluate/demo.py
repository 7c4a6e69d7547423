"""Exact match per skill of the demo task, by greedy generation over the OpenAI API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.demo_task import Example, evaluation_examples
from llmops_cli.evaluate.evaluator import Scores
from llmops_cli.runtime.http import Http

PARALLEL = 8
TIMEOUT_S = 60.0
MOST_TOKENS = 48


def evaluate(url: str, model: str, *, per_skill: int, progress: Progress) -> Scores:
    """Skill -> share of exactly right answers, and `average` over the skills.

    Raises: EngineFailed if the server stops answering.
    """
    examples = evaluation_examples(per_skill)
    http = Http()
    right: dict[str, list[bool]] = {}

    def is_right(example: Example) -> bool:
        return _answer(http, url, model, example) == example.answer

    with ThreadPoolExecutor(PARALLEL) as pool:
        verdicts = pool.map(is_right, examples)
        for done, (example, verdict) in enumerate(zip(examples, verdicts, strict=True), 1):
            right.setdefault(example.skill, []).append(verdict)
            progress.update("evaluating", done, len(examples))
    scores = {}
    for skill, found in sorted(right.items()):
        scores[skill] = sum(found) / len(found)
    scores["average"] = sum(scores.values()) / len(scores)
    return scores


def _answer(http: Http, url: str, model: str, example: Example) -> str:
    body = {
        "model": model,
        "messages": example.prompt,
        "temperature": 0,
        "max_tokens": MOST_TOKENS,
    }
    reply = http.post_json(f"{url}/v1/chat/completions", body, timeout_s=TIMEOUT_S)
    try:
        return str((reply or {})["choices"][0]["message"]["content"]).strip()
    except (KeyError, IndexError, TypeError):
        raise EngineFailed("the engine stopped answering during evaluation") from None
