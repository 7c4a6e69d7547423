"""An option that no technique of the run takes is no quiet one."""

from __future__ import annotations

import inspect

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.technique_run.idle import TAKEN_BY, check_idle
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt.techniques.table import TECHNIQUES


@pytest.mark.parametrize("option", TAKEN_BY)
def test_a_flag_without_its_technique_is_refused(option: str) -> None:
    takers = TAKEN_BY[option]
    assert set(takers) <= set(TECHNIQUES)
    with pytest.raises(UsageError, match="has no effect") as told:
        check_idle(PromptRunRecipe(technique=["zero-shot"]), {option: "flag"})
    assert takers[0] in (told.value.hint or "")
    for name in takers:
        check_idle(PromptRunRecipe(technique=["zero-shot", name]), {option: "flag"})
    for origin in ("file", "env", "default", "report"):
        check_idle(PromptRunRecipe(technique=["zero-shot"]), {option: origin})


def test_what_others_take_is_not_known() -> None:
    check_idle(PromptRunRecipe(technique=["of-a-package"]), {"samples": "flag"})


def test_each_option_is_one_of_the_recipe() -> None:
    assert set(TAKEN_BY) <= set(inspect.signature(PromptRunRecipe).parameters)
