"""Files that are looked at until one of them changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from llmops_cli.core.errors import LlmopsError
from llmops_cli.prompt.case_file.read import read_suite
from llmops_cli.prompt.evals.recipe import EvalRecipe

PAUSE_S = 0.5


def watched_files(recipe: EvalRecipe) -> list[Path]:
    """The file of cases, what it points to, and the prompts; itself alone while it is broken."""
    try:
        found = [Path(name) for name in read_suite(recipe.path).files]
    except LlmopsError:
        found = [recipe.path]
    for name in recipe.prompt:
        if "{{" not in name and "\n" not in name:
            found.append(Path(name))
    return found


def stamps_of(paths: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """When each was written, and its size; a file that is gone has none."""
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def wait_for_change(
    paths: Sequence[Path],
    *,
    since: dict[Path, tuple[int, int]],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns once a file is another than `since`."""
    while stamps_of(paths) == since:
        sleep(PAUSE_S)
