"""The variables of all commands are in one table, which pages and warnings are made from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.cli.man import manual
from llmops_cli.cli.reference import reference
from llmops_cli.cli.settings import resolved
from llmops_cli.cli.variables import VARIABLES

PACKAGE = Path(__file__).parents[3] / "llmops_cli"
READ = re.compile(r'"(LLMOPS_[A-Z_]*[A-Z])"')
OF_FIELDS = {"LLMOPS_SERVE_CONFIG", "LLMOPS_COMMAND_FIELD"}
OF_PIPELINES = {"LLMOPS_URL"}
"""Read by what we write, not by us."""


def test_every_variable_that_the_code_reads_is_in_the_table() -> None:
    read = {name for path in PACKAGE.rglob("*.py") for name in READ.findall(path.read_text())}
    assert read - OF_FIELDS - OF_PIPELINES == {
        name for name in VARIABLES if name.startswith("LLMOPS_")
    }


@pytest.mark.parametrize("name", VARIABLES)
def test_each_is_told(name: str) -> None:
    assert f"`{name}`" in reference()
    assert name in manual()


@pytest.mark.parametrize("name", VARIABLES)
def test_none_is_told_to_set_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    resolved(BenchRecipe, {}, command="bench")
    assert "sets nothing" not in capsys.readouterr().err
