"""Which text calibrates, and which judges."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.paths import recipes_dir

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


def _own(name: str, model: Path) -> Path:
    """The text that lies beside the model, else ours."""
    beside = model / f"{name}.jsonl"
    if beside.is_file():
        return beside
    return recipes_dir() / "data" / f"{name}.txt"
