"""A conversion is made once, kept while it is whole, and leaves nothing half made."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.spec import Env
from llmops_cli.models.checked import Check
from llmops_cli.models.convert import Conversion, convert, gguf_conversion
from llmops_cli.models.provenance import note_check, record_beside
from llmops_cli.models.truth import FaultKind, Outcome, Truth, failed
from llmops_cli.runtime.files import locked
from tests.unit.heard import Heard

FAKE_PYTHON = f"""#!{sys.executable}
import json, sys, pathlib
folder = pathlib.Path(sys.argv[3])
given = json.loads((folder / "input.json").read_text())
calls = pathlib.Path(given["calls"])
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
pathlib.Path(given["output"]).write_bytes(b"GGUF" + b"1" * 1000)
if given.get("fails"):
    sys.exit(3)
told = {{"tensor_bytes": 1000, "parameters": 500, "cpu_s": 1.0, "peak_rss_bytes": 7}}
(folder / "output.json").write_text(json.dumps(told))
"""
"""A worker at the edge of the process: it writes what a conversion writes, and counts its calls."""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def conversion(tmp_path: Path) -> Conversion:
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return Conversion(
        name="convert",
        program="llamacpp.convert",
        env=Env(name="llamacpp", python=str(python), origin="user"),
        target=tmp_path / "out" / "model.gguf",
        key="sha256:00",
        input={"calls": str(tmp_path / "calls")},
        source=Artifact(reference="m", format="hf", path=str(tmp_path), digest="sha256:11"),
    )


def calls(conversion: Conversion) -> int:
    return len(Path(str(conversion.input["calls"])).read_text())


def test_it_is_made_once(conversion: Conversion) -> None:
    heard = Heard()
    first = convert(conversion, progress=heard)
    assert convert(conversion, progress=heard) == first
    assert calls(conversion) == 1
    assert heard.warnings == []
    assert first.bits_per_weight == 16
    assert first.source_digest == "sha256:11"


@pytest.mark.timeout(20)
def test_what_is_finished_waits_for_nobody(conversion: Conversion) -> None:
    first = convert(conversion, progress=Heard())
    passed = Truth(outcome=Outcome.PASSED, scored=5, kl_divergence=0.0, kl_limit=1.0)
    note_check(record_beside(conversion.target), passed)
    checked = msgspec.structs.replace(conversion, check=Check(scheme="F16", format="gguf"))
    with locked(conversion.target):
        assert convert(conversion, progress=Heard()).digest == first.digest
        assert convert(checked, progress=Heard()).check == passed
    assert calls(conversion) == 1


def test_a_copy_that_was_found_wrong_is_no_finished_one(conversion: Conversion) -> None:
    convert(conversion, progress=Heard())
    note_check(record_beside(conversion.target), failed(FaultKind.LOGITS_DIFFER, "far off"))
    checked = msgspec.structs.replace(conversion, check=Check(scheme="F16", format="gguf"))
    with pytest.raises(EngineFailed, match="far off"):
        convert(checked, progress=Heard())


def test_another_key_makes_it_again(conversion: Conversion) -> None:
    convert(conversion, progress=Heard())
    other = msgspec.structs.replace(conversion, key="sha256:01")
    convert(other, progress=Heard())
    assert calls(conversion) == 2


def test_a_zeroed_layer_is_made_again_and_told(conversion: Conversion) -> None:
    whole = convert(conversion, progress=Heard())
    with conversion.target.open("r+b") as file:
        file.seek(100)
        file.write(b"\0" * 100)
    heard = Heard()
    assert convert(conversion, progress=heard).digest == whole.digest
    assert b"\0" not in conversion.target.read_bytes()
    assert "its content has changed" in heard.warnings[0]


def test_an_empty_record_is_no_bug(conversion: Conversion) -> None:
    convert(conversion, progress=Heard())
    record_beside(conversion.target).write_bytes(b"")
    heard = Heard()
    convert(conversion, progress=heard)
    assert calls(conversion) == 2
    assert len(heard.warnings) == 1


def test_a_failure_leaves_nothing_half_made(conversion: Conversion) -> None:
    failing = msgspec.structs.replace(conversion, input={**conversion.input, "fails": True})
    with pytest.raises(EngineFailed):
        convert(failing, progress=Heard())
    left = [path.name for path in conversion.target.parent.iterdir()]
    assert left == []


def test_the_key_holds_the_model_and_the_type(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    target = tmp_path / "x.gguf"
    (tmp_path / "config.json").write_text("{}")
    keys = set()
    for digest in ("sha256:1", "sha256:2"):
        source = Artifact(reference="m", format="hf", path=str(tmp_path), digest=digest)
        for scheme in ("F16", "BF16"):
            conversion = gguf_conversion(source, target, scheme, progress=Heard())
            keys.add(conversion.key)
    assert len(keys) == 4
