"""Task accuracy of a served model: the demo's own questions, and lm-evaluation-harness where it is
installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.evaluate.demo import evaluate
from llmops_cli.evaluate.evaluator import CONTEXT, Evaluator
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.job import run_job

LM_EVAL = "lm-eval:"
PER_SKILL = 25


def evaluators_of(
    wishes: Sequence[str], *, model: str, source: Artifact | None = None
) -> list[Evaluator]:
    """What is wished for, and the demo's skills for the demo.

    Raises: UsageError for an unknown evaluator; EnvironmentMissing if it is not installed.
    """
    tasks = []
    for wish in wishes:
        if not wish.startswith(LM_EVAL) or wish == LM_EVAL:
            raise UsageError(
                f"--eval {wish}: no such evaluator",
                hint="lm-eval:TASK, or lm-eval:PATH of a task's YAML",
            )
        tasks.append(wish.removeprefix(LM_EVAL))
    found = [_lm_eval(task, source) for task in tasks]
    if model == "demo":
        found.insert(0, Evaluator(name="demo", measure=_demo))
    return found


def _demo(url: str, model: str) -> dict[str, float]:
    return evaluate(url, model, per_skill=PER_SKILL, progress=Silent())


def _lm_eval(task: str, source: Artifact | None) -> Evaluator:
    python = find_env("lm-eval").python
    if source is not None and source.format != "hf":
        raise UsageError("lm-eval needs the model's tokenizer", hint="pass the Hugging Face folder")
    if task.endswith((".yaml", ".yml")):
        if not Path(task).is_file():
            raise UsageError(f"no task at {task}")
        task = str(Path(task).resolve())

    def measure(url: str, model: str) -> dict[str, float]:
        assert source is not None
        job = JobSpec(
            name="lm-eval",
            python=python,
            program="lmeval.evaluate",
            input={
                "url": url,
                "model": model,
                "tokenizer": source.path,
                "task": task,
                "context": CONTEXT,
            },
        )
        with TemporaryDirectory(prefix="llmops-") as scratch:
            output = run_job(job, folder=Path(scratch), progress=Silent()).output
        return {
            f"{task}/{metric}": value
            for task, metrics in output["tasks"].items()
            for metric, value in metrics.items()
        }

    return Evaluator(
        name=LM_EVAL + (Path(task).stem if Path(task).is_absolute() else task), measure=measure
    )
