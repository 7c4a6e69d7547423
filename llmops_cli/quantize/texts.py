"""Which text calibrates, and which judges."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.paths import recipes_dir


def texts_of(recipe: QuantizeRecipe, model: Path) -> tuple[Path, Path]:
    """(held-out text, calibration text): the user's, else those that lie beside the model, else the
    toolkit's own.

    Raises: UsageError for a file that is not there.
    """

    def own(name: str) -> Path:
        beside = model / f"{name}.jsonl"
        return beside if beside.is_file() else recipes_dir() / "data" / f"{name}.txt"

    builtin = recipe.calibration in ("builtin", "generated")
    found = (
        Path(recipe.eval_text) if recipe.eval_text else own("heldout"),
        own("calibration") if builtin else Path(recipe.calibration),
    )
    for path in found:
        if not path.is_file():
            raise UsageError(f"no file at {path}")
    return found
