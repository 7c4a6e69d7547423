"""The package of tests/plugin is found as an installed plugin would be."""

from __future__ import annotations

from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent.parent / "plugin"


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
