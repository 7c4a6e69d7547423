"""Which text calibrates, and which judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.paths import recipes_dir

FEW_TOKENS = 4096
"""Fewer calibrate badly: scales and importances are then those of some sentences."""
Facts = dict[str, Any]  # Any: the worker's own figures
OWN_CALIBRATION = ("builtin", "generated")
MULTILINGUAL = "multilingual"
"""Our texts of many languages: for what a model says of them, whatever its own texts are in."""


def texts_of(recipe: QuantizeRecipe, model: Path) -> tuple[Path, Path]:
    """(held-out text, calibration text): the user's, else the model's, else the toolkit's own.

    Raises: UsageError for a file that is not there.
    """
    heldout = _own("heldout", model)
    if recipe.eval_text == MULTILINGUAL:
        heldout = recipes_dir() / "data" / "multilingual-heldout.jsonl"
    elif recipe.eval_text:
        heldout = Path(recipe.eval_text)
    calibration = _own("calibration", model)
    if recipe.calibration == MULTILINGUAL:
        calibration = recipes_dir() / "data" / "multilingual.jsonl"
    elif recipe.calibration not in OWN_CALIBRATION:
        calibration = Path(recipe.calibration)
    for path in (heldout, calibration):
        if not path.is_file():
            raise UsageError(f"no file at {path}")
    return heldout, calibration


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
    beside = model / f"{name}.jsonl"
    if beside.is_file():
        return beside
    return recipes_dir() / "data" / f"{name}.txt"
