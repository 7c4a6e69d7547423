"""Which evaluators a run asks for: the demo's own questions, and tasks of others."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.demo import evaluate
from llmops_cli.evaluate.evaluator import Evaluator, Scores
from llmops_cli.evaluate.lm_eval import LM_EVAL, lm_eval

DEMO = "demo"
PER_SKILL = 25


def evaluators_of(
    wishes: Sequence[str],
    *,
    model: str,
    source: Artifact | None = None,
) -> list[Evaluator]:
    """What is wished for, and the demo's skills for the demo.

    Raises: UsageError for an unknown evaluator; EnvironmentMissing if it is not installed.
    """
    tasks = [_task_of(wish) for wish in wishes]
    found = [lm_eval(task, source) for task in tasks]
    if model == DEMO:
        found.insert(0, Evaluator(name=DEMO, measure=_demo))
    return found


def _task_of(wish: str) -> str:
    if not wish.startswith(LM_EVAL) or wish == LM_EVAL:
        raise UsageError(
            f"--eval {wish}: no such evaluator",
            hint="lm-eval:TASK, or lm-eval:PATH of a task's YAML",
        )
    return wish.removeprefix(LM_EVAL)


def _demo(
    url: str,
    model: str,
    progress: Progress,
) -> Scores:
    return evaluate(url, model, per_skill=PER_SKILL, progress=progress)
