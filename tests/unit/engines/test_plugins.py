"""Engines of other packages: a broken one is named, and hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.engines import ENGINES, load_engine, load_engines


@pytest.fixture
def broken_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_engine.py").write_text("raise RuntimeError('no driver')\n")
    (tmp_path / "odd_engine.py").write_text("class Odd:\n    facts = 'none'\n")
    package = tmp_path / "odd-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[llmops.engines]\nraising = raising_engine:Engine\nodd = odd_engine:Odd\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("broken_plugins")
def test_the_others_are_still_there() -> None:
    loaded, broken = load_engines()
    assert set(loaded) == set(ENGINES)
    assert "no driver" in broken["raising"]
    assert "EngineFacts" in broken["odd"]


@pytest.mark.usefixtures("broken_plugins")
@pytest.mark.parametrize("name", ["raising", "odd"])
def test_using_it_says_which_one_it_is(name: str) -> None:
    with pytest.raises(EnvironmentMissing, match=name):
        load_engine(name)
