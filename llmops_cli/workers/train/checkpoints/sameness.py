"""Which run a checkpoint belongs to. Pure."""

from dataclasses import asdict

from _shared.protocol import JobError, Json
from train.settings import Settings

FREE = frozenset(
    {
        # how long, and what is kept of it
        "steps",
        "evaluate_every",
        "checkpoint_every",
        "keep",
        "on_spike",
        "hang_timeout_s",
        "export_dtype",
        # how the same arithmetic is spread over machines
        "strategy",
        "tensor_parallel",
        "pipeline_parallel",
        "shard_size",
        "pipeline_schedule",
        "micro_batches",
        "offload",
        "accumulate",
        "activation_checkpointing",
        "compile",
        "attention",
        "threads",
    }
)
"""Fields that may differ between a run and the one that goes on from its checkpoint."""

PATHS = ("model", "init", "tokenizer")
"""Told by digests of their content where there are some, so that a folder may be moved."""


def recipe_of(settings: Settings, data: Json) -> Json:
    """All of a recipe that decides what is learned."""
    fields = asdict(settings)
    for name in FREE:
        fields.pop(name, None)
    for name in PATHS:
        if name in data:
            del fields[name]
    return fields


def differing(saved: Json, asked: Json) -> list[str]:
    """Names of fields that are not the same, each with both values."""
    names = sorted(saved.keys() | asked.keys())
    return [
        f"{name} ({_shown(saved.get(name))} then, {_shown(asked.get(name))} now)"
        for name in names
        if saved.get(name) != asked.get(name)
    ]


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:24]}..."


def check_recipe(saved: Json, asked: Json, place: str) -> None:
    """Raises: JobError naming what differs, for the result would be neither run's."""
    names = differing(saved, asked)
    if names:
        message = f"{place} is of another run: {', '.join(names)}"
        hint = "give the same options to go on, another -o, or --resume never to begin anew"
        raise JobError("UsageError", message, hint)


def check_steps(done: int, asked: int, place: str) -> None:
    """Raises: JobError for fewer steps than are done."""
    if asked < done:
        message = f"--steps {asked} is less than the {done} steps that {place} has done"
        raise JobError("UsageError", message, f"--steps {done} or more, or another -o")
