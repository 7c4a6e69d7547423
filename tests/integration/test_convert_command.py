"""`llmops convert`: there and back, once, with a report and a page; refusals have a hint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import WIDE, Cli
from tests.official_models import make_model

pytestmark = [pytest.mark.slow]


def test_the_demo_becomes_a_file_and_a_folder_again(demo_cli: Cli, tmp_path: Path) -> None:
    planned = demo_cli("convert", "demo", "--scheme", "bf16", "-o", "out", "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["converter"] == "llmops"
    assert not (tmp_path / "out").exists()

    there = demo_cli("convert", "demo", "--scheme", "bf16", "-o", "out", "--json")
    assert there.returncode == 0, there.stderr
    report = json.loads(there.stdout)
    assert report["path"] == str(tmp_path / plan["path"])
    assert report["reused"] is False
    assert report["check"]["outcome"] == "passed"
    size_bytes = Path(report["path"]).stat().st_size
    assert plan["size_bytes"] < size_bytes < 1.1 * plan["size_bytes"]
    again = demo_cli("convert", "demo", "--scheme", "bf16", "-o", "out", "--json")
    assert json.loads(again.stdout)["reused"] is True

    back = demo_cli("convert", report["path"], "-o", "back", "--no-check")
    assert back.returncode == 0, back.stderr
    assert "not compared with the original: --no-check" in back.stdout
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"
    (saved,) = (tmp_path / "results").glob("*-hf/report.json")
    shown = demo_cli("report", "show", str(saved.parent), env=WIDE)
    assert str(tmp_path / "back") in shown.stdout + shown.stderr
    assert str(tmp_path / "back") in (saved.parent / "report.html").read_text()

    taken = demo_cli("convert", "demo", "--to", "hf")
    assert taken.returncode == 2
    assert "demo is hf already" in taken.stderr


def test_another_architecture_goes_to_llama_cpps_own_converter(
    demo_cli: Cli, tmp_path: Path
) -> None:
    make_model(tmp_path / "moe", "mixtral")
    run = demo_cli("convert", "moe", "-o", "moe.gguf", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["converter"].startswith("llama.cpp")
    assert report["check"]["outcome"] == "passed", report["check"]
    assert 16 < report["bits_per_weight"] < 17.5
    assert (tmp_path / "moe.gguf").read_bytes()[:4] == b"GGUF"
