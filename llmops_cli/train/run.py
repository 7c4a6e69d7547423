"""`llmops train`: a recipe becomes a model folder, cached by the recipe's digest."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from llmops_cli import __version__
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.evaluate import demo_task
from llmops_cli.evaluate.demo_task import Example, evaluation_examples, training_examples
from llmops_cli.runtime.digests import digest_file, digest_path, digest_value
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import locked, size_of, to_json, write_atomic
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.paths import WORKERS, cache_dir
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport

QUALITY_SEED = 7
"""Held-out and calibration texts use seeds that training (seed + 10) and evaluation (99) do not."""


def model_dir(recipe: TrainRecipe) -> Path:
    """Where the model of this recipe is, or will be: the cache, keyed by recipe, data and training
    code.
    """
    key = {
        "recipe": msgspec.to_builtins(recipe),
        "data": _data_digest(recipe),
        "code": digest_file(WORKERS / "train/lm.py"),
        "task": digest_file(Path(demo_task.__file__)),
        "version": __version__,
    }
    name = "demo" if recipe.data == "demo" else Path(recipe.data).stem
    return cache_dir() / "models" / f"{name}-{digest_value(key)[7:19]}"


def train(recipe: TrainRecipe, origins: dict[str, str], *, progress: Progress) -> TrainReport:
    """The trained model's report; at once if this recipe was trained before.

    Raises: UsageError for bad data, EnvironmentMissing without torch, EngineFailed if training
    fails.
    """
    target = model_dir(recipe)
    clock = RunClock()
    saved = target / "train-report.json"
    with locked(target):
        if saved.exists():
            return msgspec.structs.replace(
                msgspec.json.decode(saved.read_bytes(), type=TrainReport), reused=True
            )
        env = find_env("train")
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        threads = recipe.threads or usable_cores()
        result = run_job(
            JobSpec(
                name="train",
                python=env.python,
                program="train.lm",
                input={
                    "recipe": msgspec.to_builtins(recipe),
                    "data": str(_write_data(recipe, partial)),
                    "output": str(partial),
                    "threads": threads,
                },
                env={
                    "HF_HUB_OFFLINE": "1",
                    "OMP_NUM_THREADS": str(threads),
                    "TOKENIZERS_PARALLELISM": "true",
                },
            ),
            folder=partial / ".job",
            progress=progress,
        )
        if recipe.data == "demo":
            _write_text(partial / "heldout.jsonl", evaluation_examples(150, seed=QUALITY_SEED))
            _write_text(partial / "calibration.jsonl", training_examples(800, seed=QUALITY_SEED))
        shutil.rmtree(partial / ".job")
        output = result.output
        digest = digest_path(partial)
        report = TrainReport(
            manifest=clock.manifest(
                recipe,
                origins,
                python=env.python,
                seed=recipe.seed,
                digests={"model": digest, "data": _data_digest(recipe)},
            ),
            path=str(target),
            digest=digest,
            parameters=output["parameters"],
            steps=recipe.steps,
            loss=output["loss"],
            tokens=output["tokens"],
            tokens_per_s=output["tokens"] / output["wall_s"],
            cpu_s=output["cpu_s"],
            memory=result.memory,
            loss_curve=[(step, loss) for step, loss in output["loss_curve"]],
        )
        write_atomic(partial / "train-report.json", to_json(report))
        partial.rename(target)
    return report


def demo_model(progress: Progress) -> Artifact:
    """The built-in model, trained on first use."""
    report = train(TrainRecipe(), {}, progress=progress)
    path = Path(report.path)
    return Artifact(
        reference="demo",
        format="hf",
        path=str(path),
        digest=report.digest,
        size_bytes=size_of(path),
    )


def _data_digest(recipe: TrainRecipe) -> str:
    if recipe.data == "demo":
        return "demo"
    path = Path(recipe.data)
    if not path.is_file():
        raise UsageError(
            f"no training data at {path}", hint='a JSONL file of {"messages": [...]}, or demo'
        )
    return digest_file(path)


def _write_data(recipe: TrainRecipe, folder: Path) -> Path:
    if recipe.data != "demo":
        return Path(recipe.data).resolve()
    path = folder / ".job" / "data.jsonl"
    examples = training_examples(recipe.steps * recipe.batch_size, seed=recipe.seed)
    write_atomic(path, b"".join(msgspec.json.encode(example) + b"\n" for example in examples))
    return path


def _write_text(path: Path, examples: Iterable[Example]) -> None:
    """One chat per line as the model's own template renders it, in an order that mixes the
    skills.
    """
    lines = []
    for example in examples:
        text = "".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in example.messages)
        lines.append(msgspec.json.encode({"text": text}))
    lines.sort(key=lambda line: digest_value(line.decode()))
    write_atomic(path, b"\n".join(lines))
