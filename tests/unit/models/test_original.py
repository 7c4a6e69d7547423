"""What an original says is computed once, and again where what is kept of it was damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Env
from llmops_cli.models.original import reference_of
from tests.unit.heard import Heard

FAKE_PYTHON = f"""#!{sys.executable}
import json, pathlib, sys
if "-c" in sys.argv:
    sys.exit(1)
folder = pathlib.Path(sys.argv[3])
given = json.loads((folder / "input.json").read_text())
place = pathlib.Path(given["output"])
place.mkdir()
(place / "reference.json").write_text(json.dumps({{"texts": []}}))
(folder / "output.json").write_text("{{}}")
with pathlib.Path(given["model"], "calls").open("a") as calls:
    calls.write("x")
"""
"""Transformers at the edge of the process: it counts how often it was asked."""


@pytest.mark.parametrize("damage", [b"", b'{"texts": [', b"[]"])
def test_a_damaged_one_is_told_and_made_again(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later comparison failed, and called the copy another model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    env = Env(name="transformers", python=str(python), origin="user")
    original = Artifact(reference="m", format="hf", path=str(tmp_path), digest="sha256:1")
    heard = Heard()

    def place_of() -> Path:
        return reference_of(original, makes_vectors=False, env=env, progress=heard)

    def calls() -> int:
        return len((tmp_path / "calls").read_text())

    facts = place_of() / "reference.json"
    whole = facts.read_bytes()
    place_of()
    assert calls() == 1
    facts.write_bytes(damage)
    assert (place_of() / "reference.json").read_bytes() == whole
    assert calls() == 2
    assert "its content has changed" in "".join(heard.warnings)
