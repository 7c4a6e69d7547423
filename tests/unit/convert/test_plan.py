"""What would be converted to what, by whom and where to; what is in the way is refused first."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llmops_cli.convert.plan import plan_of, task_of
from llmops_cli.convert.recipe import ConvertRecipe
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.models.provenance import Made, write_provenance


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def folder_of(tmp_path: Path, architecture: str) -> Artifact:
    """A Hugging Face folder of 12 parameters."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    entry = {"dtype": "F16", "shape": [3, 4], "data_offsets": [0, 24]}
    header = json.dumps({"w": entry}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(24)
    (folder / "model.safetensors").write_bytes(content)
    return Artifact(reference="model", format="hf", path=str(folder), digest="sha256:11")


@pytest.mark.parametrize(
    ("architecture", "converter", "environment"),
    [
        ("LlamaForCausalLM", "llmops", "llamacpp"),
        ("MixtralForCausalLM", "llama.cpp", "converter"),
        ("BertModel", "llama.cpp", "converter"),
    ],
    ids=["llama", "mixtral", "bert"],
)
def test_an_architecture_decides_the_converter(
    tmp_path: Path, architecture: str, converter: str, environment: str
) -> None:
    source = folder_of(tmp_path, architecture)
    task = task_of(ConvertRecipe(model="model", scheme="F32"), source, output=None)
    plan = plan_of(task)
    assert plan.converter.split()[0] == converter
    assert plan.environment == environment
    assert plan.size_bytes == 12 * 4
    assert plan.path.endswith("model-F32.gguf")


def test_output_names_a_file_or_its_folder(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "LlamaForCausalLM")
    wish = ConvertRecipe(model="model", scheme="BF16")
    by_file = task_of(wish, source, output=tmp_path / "x.gguf")
    assert by_file.target == tmp_path / "x.gguf"
    by_folder = task_of(wish, source, output=tmp_path / "out")
    assert by_folder.target == tmp_path / "out" / "model-BF16.gguf"


def test_a_name_that_is_another_kind_of_files_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "LlamaForCausalLM")
    wish = ConvertRecipe(model="model")
    for name in ("x.bin", "x.gguff", "x.safetensors", "X.PT"):
        with pytest.raises(UsageError, match="is no name for a GGUF file") as caught:
            task_of(wish, source, output=tmp_path / name)
        assert str(tmp_path / Path(name).stem) + ".gguf" in (caught.value.hint or "")
    for name in ("model-v1.5", "made.by.me", "out"):
        assert task_of(wish, source, output=tmp_path / name).target.parent.name == name
    (tmp_path / "y.bin").mkdir()
    assert task_of(wish, source, output=tmp_path / "y.bin").target.parent.name == "y.bin"


def test_a_gguf_file_becomes_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    source = Artifact(reference=str(file), format="gguf", path=str(file), digest="sha256:22")
    task = task_of(ConvertRecipe(model=str(file)), source, output=tmp_path / "back")
    assert (task.format, task.scheme, task.target) == ("hf", None, tmp_path / "back")
    with pytest.raises(UsageError, match="is no name for a folder"):
        task_of(ConvertRecipe(model=str(file)), source, output=tmp_path / "back.gguf")
    kept = task_of(ConvertRecipe(model=str(file)), source, output=None)
    assert kept.target.name.startswith("small-")
    for wish in ({"scheme": "F16"}, {"beyond_window": True}):
        with pytest.raises(UsageError, match="is of GGUF files, and a folder is made"):
            task_of(ConvertRecipe(model=str(file), **wish), source, output=None)


def test_what_has_no_conversion_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "LlamaForCausalLM")
    with pytest.raises(UsageError, match="is hf already"):
        task_of(ConvertRecipe(model="model", to="hf"), source, output=None)
    quantized = Artifact(reference="m", format="awq", path=source.path)
    with pytest.raises(UsageError, match="m is awq"):
        task_of(ConvertRecipe(model="m"), quantized, output=None)


def test_the_file_that_is_read_is_never_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "made.gguf"
    file.write_bytes(b"GGUF")
    write_provenance(tmp_path / "made.gguf.json", Made(key="k", digest="d", size_bytes=4))
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    (below / "link.gguf").symlink_to(file)
    for path in (below / ".." / "made.gguf", below / "link.gguf"):
        source = Artifact(reference=str(path), format="gguf", path=str(path), digest="sha256:22")
        wish = ConvertRecipe(model=str(path))
        for output in (Path("..") / "made.gguf", file):
            with pytest.raises(UsageError, match="inside the model"):
                task_of(wish, source, output=output)


def test_nothing_that_is_not_ours_is_overwritten(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "LlamaForCausalLM")
    wish = ConvertRecipe(model="model")
    with pytest.raises(UsageError, match="inside the model"):
        task_of(wish, source, output=tmp_path / "model" / "x.gguf")
    taken = tmp_path / "taken.gguf"
    taken.write_bytes(b"mine")
    with pytest.raises(UsageError, match="did not make it"):
        task_of(wish, source, output=taken)
    record = tmp_path / "taken.gguf.json"
    record.write_text('{"somebody": "else"}')
    with pytest.raises(UsageError, match="did not make it"):
        task_of(wish, source, output=taken)
    write_provenance(record, Made(key="k", digest="d", size_bytes=4))
    assert task_of(wish, source, output=taken).target == taken
