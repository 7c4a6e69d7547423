"""Conversions beside their originals, with the real engines: what is right passes, what is wrong is
found, marked and ends the command.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.progress import Silent
from llmops_cli.models.compared import Copy, compared
from llmops_cli.models.find import artifact_at
from llmops_cli.models.truth import FaultKind, Outcome, Truth
from tests.conftest import Cli
from tests.integration.test_convert import convert, make_model
from tests.zoo.cases import CASES
from tests.zoo.make import make as make_case

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SMALL = {"num_hidden_layers": 2, "intermediate_size": 256}
LONG = {**SMALL, "head_dim": 32, "max_position_embeddings": 8192}
UNPICKY = """#!{python}
import json, os, pathlib, sys
if sys.argv[2:3] == ["llamacpp.convert"]:
    given = pathlib.Path(sys.argv[3]) / "input.json"
    job = json.loads(given.read_text())
    job["model"] = {other!r}
    given.write_text(json.dumps(job))
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""
"""A Python whose conversion reads another folder than the one it was given."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def with_config(folder: Path, name: str, **changed: Any) -> Path:
    """The same weights and tokenizer, said to be another model."""
    other = folder.with_name(name)
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, **changed}))
    return other


def truth_of(original: Path, converted: Path, tmp_path: Path) -> Truth:
    """A file converted from one folder beside another folder."""
    out = tmp_path / f"{converted.name}.gguf"
    result = convert(converted, out)
    assert "error" not in result, result
    source = artifact_at(original.name, original, "hf")
    copy = Copy(original=source, path=out, format="gguf", scheme="F32")
    return compared(copy, progress=Silent())


@pytest.mark.parametrize("window", [64, pytest.param(4096, marks=pytest.mark.thorough)])
def test_a_sliding_window_that_is_not_converted_is_found(window: int, tmp_path: Path) -> None:
    """One that the text is longer than, and one that only a narrower one stands for."""
    extra = {**LONG, "sliding_window": window}
    make_model(tmp_path / "windowed", "Mistral", extra, "byte-fallback")
    plain = with_config(tmp_path / "windowed", "plain", sliding_window=None)
    found = truth_of(tmp_path / "windowed", plain, tmp_path)
    assert [fault.kind for fault in found.faults] == [FaultKind.LOGITS_DIFFER], found
    if window == 4096:
        right = truth_of(plain, plain, tmp_path)
        assert right.outcome is Outcome.PASSED, right
        assert right.kl_divergence is not None
        assert right.kl_divergence < 1e-6


def test_a_window_that_llama_cpp_has_too_is_right(tmp_path: Path) -> None:
    extra = {**LONG, "head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 4096}
    make_model(tmp_path / "gemma", "Gemma2", extra, "byte-fallback", "bfloat16")
    found = truth_of(tmp_path / "gemma", tmp_path / "gemma", tmp_path)
    assert found.outcome is Outcome.PASSED, found


@pytest.fixture
def wrongly(tmp_path: Path, cli: Cli) -> Callable[..., Any]:
    """Runs `llmops` with a converter that reads a model with another rope than it should."""
    make_model(tmp_path / "tiny", "Llama", SMALL, "bpe")
    rope = {"rope_type": "default", "rope_theta": 200.0}
    other = with_config(tmp_path / "tiny", "other", rope_parameters=rope)
    python = tmp_path / "python"
    python.write_text(UNPICKY.format(python=sys.executable, other=str(other)))
    python.chmod(0o755)
    (tmp_path / "config" / "llmops").mkdir(parents=True)
    envs = tmp_path / "config" / "llmops" / "envs.yaml"
    envs.write_text(f"llamacpp: {{python: {python}}}\n")
    return cli


def test_a_wrong_conversion_is_marked_and_ends_the_command(
    wrongly: Callable[..., Any], tmp_path: Path
) -> None:
    argv = ("quantize", "tiny", "--scheme", "F16", "--no-verify", "-o", "out")
    for _ in range(2):  # made, then kept
        run = wrongly(*argv)
        assert run.returncode == 4, run.stderr
        assert "tiny-F16.gguf is not the model that it was made from: KL" in run.stderr
        assert "Traceback" not in run.stderr
    saved = json.loads((tmp_path / "out" / "tiny-F16.gguf.json").read_text())
    assert saved["check"]["outcome"] == "failed"
    assert saved["check"]["faults"][0]["kind"] == "logits-differ"
    told = wrongly("quantize", "inspect", "out/tiny-F16.gguf").stdout
    assert "FAILED beside the original" in told
    run = wrongly("quantize", "tiny", "--scheme", "F16", "--no-verify", "-o", "two", "--no-check")
    assert run.returncode == 0, run.stderr
    assert "not compared with the original: --no-check" in run.stdout + run.stderr


@pytest.mark.thorough
def test_texts_of_which_a_notice_tells_are_counted_and_fail_nothing(
    tmp_path: Path, cli: Cli
) -> None:
    """A SentencePiece model of Llama's: llama.cpp puts a space before every text."""
    case = CASES["fallback-metaspace"]
    make_case(tmp_path / "tiny", case)
    run = cli("quantize", "tiny", "--scheme", "F16,Q8_0", "--no-verify", "-o", "out", "--json")
    assert run.returncode == 0, run.stderr
    for entry in json.loads(run.stdout)["artifacts"]:
        assert entry["check"]["outcome"] == "passed", entry
        assert 0 < entry["check"]["texts_known"] < 12
        assert [notice["kind"] for notice in entry["notices"]] == ["first-space"]


def test_every_artifact_has_its_check_in_report_and_provenance(tmp_path: Path, cli: Cli) -> None:
    make_model(tmp_path / "tiny", "Llama", SMALL, "bpe", "bfloat16")
    run = cli(
        *("quantize", "tiny", "--scheme", "F16,Q4_0", "--eval-tokens", "600"),
        *("--no-verify", "-o", "out", "--json"),
    )
    assert run.returncode == 0, run.stderr
    for entry in json.loads(run.stdout)["artifacts"]:
        assert entry["check"]["outcome"] == "passed", entry
        assert entry["check"]["texts"] > 50
        assert entry["quality_base"] == "the original in Transformers"
        saved = json.loads((tmp_path / f"{entry['path']}.json").read_text())
        assert saved["check"] == entry["check"]
    base, small = json.loads(run.stdout)["artifacts"]
    assert base["kl_divergence"] < 1e-6 < small["kl_divergence"]
