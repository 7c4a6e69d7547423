"""A task of lm-evaluation-harness against a served model: its own metrics, as shares."""

import os
import traceback
from pathlib import Path
from typing import Any

from _shared.protocol import Events, JobError, Json, run_worker
from _shared.rows import text_of


def work(job: Json, events: Events) -> Json:
    from lm_eval.tasks import TaskManager

    path = Path(job["task"])
    is_file = path.is_file()
    name = job["task"]
    include_path = None
    if is_file:
        name = name_in(path)
        include_path = str(path.parent)
    manager = TaskManager(include_path=include_path)
    if name not in manager.all_tasks:
        message = f"lm-eval has no task {name}"
        raise JobError("UsageError", message, "a task's name, or the path of its YAML file")
    if is_file:
        os.chdir(path.parent)  # data files lie beside the task that names them
    events.progress(f"lm-eval {name}", 0, 1, unit="tasks")
    results = evaluate(job, name, manager)
    tasks = {task: shares(figures) for task, figures in results.items()}
    return {"tasks": tasks}


def name_in(path: Path) -> str:
    """A task of the user's own."""
    import yaml

    task = yaml.safe_load(text_of(path))
    return str(task["task"])


def evaluate(
    job: Json,
    task: str,
    manager: Any,
) -> dict[str, Json]:
    """Task -> metric -> figure. Raises: JobError for whatever lm-eval raises."""
    from lm_eval import simple_evaluate

    model = {
        "model": job["model"],
        "base_url": f"{job['url']}/v1/completions",
        "tokenizer": job["tokenizer"],
        "tokenizer_backend": "huggingface",
        "tokenized_requests": False,
        "num_concurrent": 8,
        "max_retries": 1,
        "max_length": job["context"],
    }
    try:
        found = simple_evaluate(
            model="local-completions",
            model_args=model,
            tasks=[task],
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=False,
        )
    except Exception as error:
        traceback.print_exc()
        raise JobError(
            "EngineFailed",
            f"lm-eval failed: {type(error).__name__}: {str(error)[:200]}",
            "tasks that score given answers need log-probabilities of the prompt, which vLLM has",
        ) from error
    return dict(found["results"])


def shares(figures: Json) -> dict[str, float]:
    """Metric -> value, without standard errors and the filters' names."""
    found = {}
    for key, value in figures.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_figure = "stderr" not in key and key != "sample_len"
        if is_number and is_figure:
            metric, _, _filter = key.partition(",")
            found[metric] = float(value)
    return found


if __name__ == "__main__":
    run_worker(work)
