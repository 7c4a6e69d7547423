"""What a model is trained on: the user's files, or the demo's, and the texts beside a demo."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.evaluate import demo_task
from llmops_cli.evaluate.demo_task import Example, evaluation_examples, training_examples
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import at_home
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.recipe import TrainRecipe

QUALITY_SEED = 7
"""Held-out and calibration texts use seeds that training (seed + 10) and evaluation (99) do not."""
HELDOUT_PER_SKILL = 150
CALIBRATION_CHATS = 800
DEMO_DATA = "data.jsonl"
TASK = "task.jsonl"
DEMO_CHATS = 25_600
TASK_PER_SKILL = 20


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the files that are mixed; without a weight each of its samples comes once an epoch."""

    path: str
    weight: float | None = None


def data_files(recipe: TrainRecipe) -> list[DataFile]:
    """What `--data` names. Raises: UsageError for a weight that is none."""
    return [_data_file(text) for text in recipe.data]


def validation_files(recipe: TrainRecipe) -> list[DataFile]:
    return [_data_file(text) for text in recipe.validation]


def is_here(file: DataFile) -> bool:
    return file.path == DEMO or _place_of(file.path).exists()


def content_of(file: DataFile) -> str:
    """The same for two names of one file, or of one split of a folder."""
    if file.path == DEMO:
        return DEMO
    place = _place_of(file.path)
    split = "" if place == at_home(file.path) else file.path.rpartition(":")[2]
    found = place.stat()
    return f"{found.st_dev}:{found.st_ino}:{split}"


def missing(file: DataFile) -> UsageError:
    return UsageError(
        f"no training data at {file.path}",
        hint=near_path(Path(file.path), "JSONL, Parquet, text, a dataset's folder, or demo"),
    )


def _data_file(text: str) -> DataFile:
    """`FILE` or `FILE=WEIGHT`; a name may have a `=` of its own."""
    name, equals, tail = text.rpartition("=")
    path = text
    weight = None
    if equals and _is_number(tail):
        path = name
        weight = float(tail)
    if weight is not None and not 0 < weight < math.inf:
        raise UsageError(f"--data {text}: a weight is a number above 0", hint=f"--data {path}=1")
    return DataFile(path=path, weight=weight)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_demo(recipe: TrainRecipe) -> bool:
    """Its chats alone, from scratch: its questions tell how good the model is."""
    begins = recipe.model or recipe.init
    return recipe.data == [DEMO] and not begins and not recipe.validation


def data_digest(recipe: TrainRecipe) -> str:
    """Of all files, or of the program that makes the demo's chats.

    Raises: UsageError for a file that is not there.
    """
    files = data_files(recipe)
    held_out = validation_files(recipe)
    digests = [_digest_of(file) for file in files]
    if len(digests) == 1 and not held_out:
        return digests[0]
    weights = [file.weight for file in files]
    return digest_value([digests, weights, [_digest_of(file) for file in held_out]])


def _digest_of(file: DataFile) -> str:
    if file.path == DEMO:
        return digest_file(Path(demo_task.__file__))
    place = _place_of(file.path)
    digest = content_digest(place)
    if place != at_home(file.path):
        split = file.path.rpartition(":")[2]
        return digest_value([digest, split])
    return digest


def _place_of(path: str) -> Path:
    """Of FOLDER:SPLIT the folder; a name may have a colon of its own."""
    place = at_home(path)
    folder, colon, _ = path.rpartition(":")
    if colon and not place.exists() and at_home(folder).is_dir():
        return at_home(folder)
    return place


def on_disk(files: Iterable[DataFile], recipe: TrainRecipe, folder: Path) -> list[DataFile]:
    """The files, that of the demo written into `folder`."""
    found = []
    for file in files:
        path = at_home(file.path).resolve()
        if file.path == DEMO:
            path = write_demo_chats(recipe, folder)
        found.append(msgspec.structs.replace(file, path=str(path)))
    return found


def write_demo_chats(recipe: TrainRecipe, folder: Path) -> Path:
    """As many as the steps of the run read, so that none comes twice."""
    path = folder / DEMO_DATA
    count = DEMO_CHATS
    if recipe.steps is not None:
        count = recipe.steps * recipe.batch_size
    examples = training_examples(count, seed=recipe.seed)
    write_atomic(path, b"".join(_line(example) for example in examples))
    return path


def write_demo_task(folder: Path) -> Path:
    """Chats that the demo has not seen, each with its only right answer."""
    path = folder / TASK
    examples = evaluation_examples(TASK_PER_SKILL)
    write_atomic(path, b"".join(_line(example) for example in examples))
    return path


def _line(example: Example) -> bytes:
    return msgspec.json.encode(example) + b"\n"


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
