"""`--fail-if` and budgets that can tell nothing are refused before the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import GateFailed, UsageError
from llmops_cli.core.report import Manifest
from llmops_cli.prompt.evals.affordable import require_affordable
from llmops_cli.prompt.evals.gates import error_of, read_conditions
from llmops_cli.prompt.evals.plan import eval_plan
from llmops_cli.prompt.evals.possible import require_possible
from llmops_cli.prompt.evals.recipe import EvalRecipe
from llmops_cli.prompt.evals.report import EvalReport
from llmops_cli.runtime.outcomes import StopReason


def recipe_of(folder: Path, *, cases: int = 8, prompts: int = 2, **fields: Any) -> EvalRecipe:
    path = folder / "cases.yaml"
    rows = [
        f"  - {{vars: {{a: {a}}}, assert: [{{type: contains, value: x}}]}}" for a in range(cases)
    ]
    path.write_text("tests:\n" + "\n".join(rows) + "\n")
    texts = [f"{number}: {{{{a}}}}" for number in range(prompts)]
    return EvalRecipe(cases=str(path), prompt=texts, url="http://127.0.0.1:9", **fields)


def require(text: str, recipe: EvalRecipe) -> None:
    require_possible(read_conditions([text]), recipe, eval_plan(recipe))


@pytest.mark.parametrize(
    "text",
    [
        "worse > 1",
        "worse >= 0",
        "pass_rate > 100%",
        "pass_rate <= 100%",
        "errors > 8",
        "errors > 100%",
        "errors < 0",
        "tokens < 0",
        "cost > 1",
        "cost > 1%",
        "latency_ms.p95 > 5%",
        "latency_ms.p95 < 0",
        "worse > 5%",
    ],
)
def test_what_can_tell_nothing_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        require(text, recipe_of(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "worse > 0",
        "pass_rate < 90%",
        "errors > 7",
        "errors > 5%",
        "latency_ms.p95 > 1s",
        "score < 1",
    ],
)
def test_what_can_tell_something_is_taken(text: str, tmp_path: Path) -> None:
    require(text, recipe_of(tmp_path))


def test_one_cell_is_worse_than_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compared with none"):
        require("worse > 0", recipe_of(tmp_path, prompts=1))


def test_too_few_cases_make_nothing_sure(tmp_path: Path) -> None:
    require("worse > 0", recipe_of(tmp_path, cases=6))
    with pytest.raises(UsageError, match="5 cases make nothing sure") as refused:
        require("worse > 0", recipe_of(tmp_path, cases=5))
    assert refused.value.hint == "6 cases or more"


def test_a_budget_below_one_request_is_told_with_what_one_takes(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, token_budget=50, max_tokens=100)
    with pytest.raises(UsageError, match="--token-budget buys no request") as refused:
        require_affordable(recipe, eval_plan(recipe))
    assert refused.value.hint is not None
    needed = int(refused.value.hint.split()[1])
    enough = recipe_of(tmp_path, token_budget=needed, max_tokens=100)
    require_affordable(enough, eval_plan(enough))
    poor = recipe_of(tmp_path, money_budget=1e-9, price_in=1.0, price_out=1.0)
    with pytest.raises(UsageError, match="--money-budget buys no request"):
        require_affordable(poor, eval_plan(poor))


def test_a_run_that_measured_nothing_does_not_pass(tmp_path: Path) -> None:
    report = EvalReport(
        manifest=Manifest(recipe={}),
        cells=[],
        pairs=[],
        cases=1,
        repeats=1,
        tasks=1,
        stopped=StopReason.TOKENS,
    )
    error = error_of(report, [], tmp_path)
    assert isinstance(error, GateFailed)
    assert "nothing was measured: the token budget is spent" in error.message
