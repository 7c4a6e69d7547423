"""Exact match per skill of the demo task, by greedy generation over the OpenAI API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.demo_task import Example, evaluation_examples
from llmops_cli.runtime.http import Http

PARALLEL = 8
TIMEOUT_S = 60.0


def evaluate(url: str, model: str, *, per_skill: int, progress: Progress) -> dict[str, float]:
    """Skill -> share of exactly right answers, and `average` over the skills.

    Raises: EngineFailed if the server stops answering.
    """
    examples = evaluation_examples(per_skill)
    http = Http()
    right: dict[str, list[bool]] = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = pool.map(lambda example: _is_right(http, url, model, example), examples)
        for done, (example, answer) in enumerate(zip(examples, answers, strict=True), 1):
            right.setdefault(example.skill, []).append(answer)
            progress.update("evaluating", done, len(examples))
    scores = {skill: sum(found) / len(found) for skill, found in sorted(right.items())}
    return {**scores, "average": sum(scores.values()) / len(scores)}


def _is_right(http: Http, url: str, model: str, example: Example) -> bool:
    body = {"model": model, "messages": example.prompt, "temperature": 0, "max_tokens": 48}
    reply = http.post_json(f"{url}/v1/chat/completions", body, timeout_s=TIMEOUT_S)
    try:
        return str((reply or {})["choices"][0]["message"]["content"]).strip() == example.answer
    except (KeyError, IndexError, TypeError):
        raise EngineFailed("the engine stopped answering during evaluation") from None
