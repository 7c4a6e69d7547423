"""Every tiny model of the zoo becomes a GGUF file that is exact, or is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from llmops_cli.runtime.paths import WORKERS
from tests.zoo.cases import CASES

pytestmark = [pytest.mark.slow]

MOST_KL = 1e-6


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came out of each; one process makes the models, another one converts and compares."""
    folder = tmp_path_factory.mktemp("zoo") / "models"
    _run("tests.zoo.make", str(folder))
    _run("tests.zoo.walk", str(folder), str(WORKERS))
    return dict(json.loads((folder / "walk.json").read_text()))


def _run(*argv: str) -> None:
    run = subprocess.run([sys.executable, "-m", *argv], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if not case.refused))
def test_it_is_exact(walk: dict[str, Any], name: str) -> None:
    case = CASES[name]
    found = walk[name]
    assert found.get("kl", 1.0) < MOST_KL, found
    assert found["in_file"] == case.context
    assert tuple(found["goes_on_after"]) == case.goes_on_after
    for words in case.notices:
        assert any(words in notice["text"] for notice in found["notices"]), found["notices"]
    assert {each["text"] for each in found["other_texts"]} == set(case.other_texts)
    if not case.notices:
        assert found["notices"] == []


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.refused))
def test_it_is_refused_by_name(walk: dict[str, Any], name: str) -> None:
    case = CASES[name]
    assert case.refused in walk[name].get("refused", ""), walk[name]
