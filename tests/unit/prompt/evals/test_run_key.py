"""A run that goes on has its answers of the same cases, prompts and model."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.evals.plan import eval_plan
from llmops_cli.prompt.evals.run_key import require_same, require_same_files
from tests.unit.prompt.evals.test_possible import recipe_of


def test_a_run_does_not_go_on_with_other_files_of_its_model(tmp_path: Path) -> None:
    plan = eval_plan(recipe_of(tmp_path))
    require_same(tmp_path, plan)
    require_same_files(tmp_path, "./m", {"model": "sha256:one"})
    require_same_files(tmp_path, "./n", {"model": "sha256:two"})
    require_same(tmp_path, plan)  # which keeps what the models' files were
    require_same_files(tmp_path, "./m", {"model": "sha256:one"})
    require_same_files(tmp_path, "./m", {})
    with pytest.raises(UsageError, match=r"files of \./m are others now"):
        require_same_files(tmp_path, "./m", {"model": "sha256:two"})
