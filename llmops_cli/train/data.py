"""What a model is trained on: a file of chats, or the demo's, and the texts that go with a demo."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.evaluate import demo_task
from llmops_cli.evaluate.demo_task import Example, evaluation_examples, training_examples
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.files import write_atomic
from llmops_cli.train.recipe import TrainRecipe

DEMO = "demo"
QUALITY_SEED = 7
"""Held-out and calibration texts use seeds that training (seed + 10) and evaluation (99) do not."""
HELDOUT_PER_SKILL = 150
CALIBRATION_CHATS = 800


def data_digest(recipe: TrainRecipe) -> str:
    """Of the file, or of the program that makes the demo's chats.

    Raises: UsageError for a file that is not there.
    """
    if recipe.data == DEMO:
        return digest_file(Path(demo_task.__file__))
    path = Path(recipe.data)
    if not path.is_file():
        raise UsageError(
            f"no training data at {path}", hint='a JSONL file of {"messages": [...]}, or demo'
        )
    return digest_file(path)


def data_file(recipe: TrainRecipe, folder: Path) -> Path:
    """The chats as a JSONL file: the user's, or the demo's written into `folder`."""
    if recipe.data != DEMO:
        return Path(recipe.data).resolve()
    path = folder / "data.jsonl"
    count = recipe.steps * recipe.batch_size
    examples = training_examples(count, seed=recipe.seed)
    lines = [msgspec.json.encode(example) + b"\n" for example in examples]
    write_atomic(path, b"".join(lines))
    return path


def write_demo_texts(folder: Path) -> None:
    """Texts that the demo has not seen, beside it, by which quantization is judged and done."""
    heldout = evaluation_examples(HELDOUT_PER_SKILL, seed=QUALITY_SEED)
    calibration = training_examples(CALIBRATION_CHATS, seed=QUALITY_SEED)
    _write_text(folder / "heldout.jsonl", heldout)
    _write_text(folder / "calibration.jsonl", calibration)


def _write_text(path: Path, examples: Iterable[Example]) -> None:
    """One chat a line as the model's own template renders it, in an order that mixes the skills."""
    lines = []
    for example in examples:
        parts = [_rendered(message) for message in example.messages]
        line = msgspec.json.encode({"text": "".join(parts)})
        lines.append(line)
    lines.sort(key=_mixing)
    write_atomic(path, b"\n".join(lines))


def _rendered(message: demo_task.DemoMessage) -> str:
    return f"<|{message['role']}|>{message['content']}<|end|>"


def _mixing(line: bytes) -> str:
    return digest_value(line.decode())
