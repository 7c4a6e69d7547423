"""Tasks of lm-evaluation-harness over a served model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.evaluate.evaluator import CONTEXT, Evaluator, Scores
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.job import run_job

LM_EVAL = "lm-eval:"
YAML = (".yaml", ".yml")


def lm_eval(task: str, source: Artifact | None) -> Evaluator:
    """The harness's task of this name, or the one that a YAML file describes.

    `source` has the tokenizer; without it nothing can be measured, only checked.
    Raises: UsageError for no such file or no tokenizer; EnvironmentMissing without the harness.
    """
    python = find_env("lm-eval").python
    if source is not None and source.format != "hf":
        raise UsageError("lm-eval needs the model's tokenizer", hint="pass the Hugging Face folder")
    name = task
    if task.endswith(YAML):
        path = Path(task)
        if not path.is_file():
            raise UsageError(f"no task at {task}")
        task = str(path.resolve())
        name = path.stem

    def measure(
        url: str,
        model: str,
        progress: Progress,
    ) -> Scores:
        if source is None:
            raise UsageError("lm-eval needs the model's tokenizer")
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
            result = run_job(job, folder=Path(scratch), progress=progress)
        return _scores(result.output["tasks"])

    return Evaluator(name=LM_EVAL + name, measure=measure)


def _scores(tasks: dict[str, dict[str, float]]) -> Scores:
    found = {}
    for task, metrics in tasks.items():
        for metric, value in metrics.items():
            found[f"{task}/{metric}"] = value
    return found
