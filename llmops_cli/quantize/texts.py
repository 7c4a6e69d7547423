"""Which text calibrates, and which judges."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.quantize.jobs import run_measuring
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import at_home, recipes_dir

FEW_TOKENS = 4096
"""Fewer calibrate badly: scales and importances are then those of some sentences."""
EVAL_WINDOW = 512
"""Tokens of context over which perplexity is measured, and the least that a plain text needs."""
PLAIN_TEXTS = (".txt", ".md")
Facts = dict[str, Any]  # Any: the worker's own figures
OWN_CALIBRATION = ("builtin", "generated")
MULTILINGUAL = "multilingual"
"""Our texts of many languages: for what a model says of them, whatever its own texts are in."""
CALIBRATIONS = (*OWN_CALIBRATION, MULTILINGUAL)
EVAL_TEXTS = (MULTILINGUAL,)


def texts_of(recipe: QuantizeRecipe, model: Path) -> tuple[Path, Path]:
    """(held-out text, calibration text): the user's, else the model's, else the toolkit's own.

    Raises: UsageError for a file that is not there.
    """
    heldout = _own("heldout", model)
    if recipe.eval_text == MULTILINGUAL:
        heldout = recipes_dir() / "data" / "multilingual-heldout.jsonl"
    elif recipe.eval_text:
        heldout = _file(recipe.eval_text, "--eval-text", EVAL_TEXTS)
    calibration = _own("calibration", model)
    if recipe.calibration == MULTILINGUAL:
        calibration = recipes_dir() / "data" / "multilingual.jsonl"
    elif recipe.calibration not in OWN_CALIBRATION:
        calibration = _file(recipe.calibration, "--calibration", CALIBRATIONS)
    return heldout, calibration


def check_texts(recipe: QuantizeRecipe) -> None:
    """Looks into the user's own files, so that a broken one costs no model that is loaded.

    Raises: UsageError naming a file that is not there, the line that cannot be read, or a file
    without a text.
    """
    own = []
    if recipe.eval_text and recipe.eval_text != MULTILINGUAL:
        own.append(_file(recipe.eval_text, "--eval-text", EVAL_TEXTS))
    if recipe.calibration not in CALIBRATIONS:
        own.append(_file(recipe.calibration, "--calibration", CALIBRATIONS))
    if not own:
        return
    job = JobSpec(
        name="texts",
        python=sys.executable,
        program="texts.look",
        input={"texts": [str(path.resolve()) for path in own]},
    )
    run_measuring(job, progress=Silent())
    if recipe.eval_text and recipe.eval_text != MULTILINGUAL:
        _check_length(at_home(recipe.eval_text))


def _check_length(path: Path) -> None:
    """No tokenizer makes more tokens than there are bytes.

    Raises: UsageError for a plain text that has no window.
    """
    if path.suffix not in PLAIN_TEXTS:
        return
    size_bytes = path.stat().st_size
    if size_bytes + 1 < EVAL_WINDOW:
        raise UsageError(
            f"--eval-text: {path} has {size_bytes} bytes; one window needs {EVAL_WINDOW} tokens",
            hint="a longer text, or lines of JSON with a text each",
        )


def _file(
    value: str,
    flag: str,
    names: Sequence[str],
) -> Path:
    """Raises: UsageError that knows a slip in one of the names from a file that is not there."""
    path = at_home(value)
    if path.is_file():
        return path
    if path.name == value and not path.suffix:
        raise UsageError(f"{flag} {value}: no such text", hint=nearest_name(value, names))
    raise UsageError(
        f"{flag}: no file at {path}", hint=near_path(path, f"a file, or {', '.join(names)}")
    )


def few_tokens_note(calibration: Facts | None) -> str | None:
    """A word on a calibration text that is too small for what it is to tell; None for others."""
    if calibration is None:
        return None
    tokens = calibration["tokens"]
    wanted = calibration.get("wanted_tokens", 0)
    if tokens >= min(wanted, FEW_TOKENS):
        return None
    told = f"its calibration text has {tokens:,} tokens where {wanted:,} were wanted"
    return f"{told}: too few to rely on"


def _own(name: str, model: Path) -> Path:
    """The text that lies beside the model, else ours."""
    folder = model if model.is_dir() else model.parent
    beside = folder / f"{name}.jsonl"
    if beside.is_file():
        return beside
    return recipes_dir() / "data" / f"{name}.txt"
