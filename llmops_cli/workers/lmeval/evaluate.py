"""A task of lm-evaluation-harness against a served model: its own metrics, as shares."""

import os
from pathlib import Path
from typing import Any

from _shared.protocol import Events, JobError, run_worker


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    import yaml
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    path = Path(job["task"])
    name = yaml.safe_load(path.read_text())["task"] if path.is_file() else job["task"]
    manager = TaskManager(include_path=str(path.parent) if path.is_file() else None)
    if name not in manager.all_tasks:
        raise JobError(
            "UsageError",
            f"lm-eval has no task {name}",
            "a task's name, or the path of its YAML file",
        )
    if path.is_file():
        os.chdir(path.parent)  # data files lie beside the task that names them
    events.progress(f"lm-eval {name}", 0, 1, unit="tasks")
    try:
        found = simple_evaluate(
            model="local-completions",
            model_args={
                "model": job["model"],
                "base_url": f"{job['url']}/v1/completions",
                "tokenizer": job["tokenizer"],
                "tokenizer_backend": "huggingface",
                "tokenized_requests": False,
                "num_concurrent": 8,
                "max_retries": 1,
                "max_length": job["context"],
            },
            tasks=[name],
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=False,
        )
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise JobError(
            "EngineFailed",
            f"lm-eval failed: {type(error).__name__}: {str(error)[:200]}",
            "tasks that score given answers need log-probabilities of the prompt, which vLLM has",
        ) from error
    return {"tasks": {name: shares(figures) for name, figures in found["results"].items()}}


def shares(figures: dict[str, Any]) -> dict[str, float]:
    """Metric -> value, without standard errors and the filters' names."""
    return {
        key.partition(",")[0]: float(value)
        for key, value in figures.items()
        if "stderr" not in key
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and key != "sample_len"
    }


if __name__ == "__main__":
    run_worker(work)
