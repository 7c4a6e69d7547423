"""llama.cpp's own converter is fetched once, is what its digest says, and is whole or not there.

pip really runs, over a folder of archives in place of an index.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.models.converter import (
    OURS,
    ConverterSource,
    converter_folder,
    is_encoder,
    is_left_to_official,
)
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.paths import WORKERS, cache_dir
from tests.unit.heard import Heard

TOP = "tiny_cpp-1.0"
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
from pathlib import Path
import os


def prepare_metadata_for_build_wheel(folder, settings=None):
    Path(os.environ["TINY_CPP_RAN"]).touch()
    place = Path(folder) / "tiny_cpp-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny-cpp\\nVersion: 1.0\\n")
    return place.name
"""
FILES = {
    "pyproject.toml": PROJECT,
    "backend.py": BACKEND,
    "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-cpp\nVersion: 1.0\n",
    "vendor/llama.cpp/conversion/__init__.py": "KNOWN = 1\n",
    "vendor/llama.cpp/gguf-py/gguf/__init__.py": "",
    "vendor/llama.cpp/src/llama.cpp": "int main() {}\n",
}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConverterSource:
    """In an index that is a folder."""
    archive = tmp_path / "archives" / f"{TOP}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in FILES.items():
            raw = text.encode()
            member = tarfile.TarInfo(f"{TOP}/{name}")
            member.size = len(raw)
            packed.addfile(member, io.BytesIO(raw))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    monkeypatch.setenv("TINY_CPP_RAN", str(tmp_path / "ran"))
    return ConverterSource(
        package="tiny-cpp",
        version="1.0",
        digest=digest_file(archive),
        archive_bytes=archive.stat().st_size,
    )


def kept() -> list[str]:
    folder = cache_dir() / "converter"
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_only_the_converter_is_kept_and_fetched_once(
    source: ConverterSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard = Heard()
    folder = converter_folder(source, progress=heard)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["conversion/__init__.py", "gguf-py/gguf/__init__.py"]
    assert len(heard.sentences) == 1
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert converter_folder(source, progress=heard) == folder
    assert len(heard.sentences) == 1
    assert kept() == [folder.name]


def test_nothing_of_other_bytes_is_run_or_kept(source: ConverterSource, tmp_path: Path) -> None:
    other = msgspec.structs.replace(source, digest=f"sha256:{'0' * 64}")
    with pytest.raises(EnvironmentMissing, match="DO NOT MATCH THE HASHES"):
        converter_folder(other, progress=Heard())
    assert not [name for name in kept() if not name.endswith(".log")]
    assert not (tmp_path / "ran").exists()
    converter_folder(source, progress=Heard())
    assert (tmp_path / "ran").exists()


def test_an_index_without_it_is_a_line(source: ConverterSource) -> None:
    missing = msgspec.structs.replace(source, version="2.0")
    with pytest.raises(EnvironmentMissing, match="could not fetch"):
        converter_folder(missing, progress=Heard())
    assert not [name for name in kept() if not name.endswith(".log")]


@pytest.mark.parametrize(
    ("architectures", "expected"),
    [('["BertModel"]', True), ('["LlamaForCausalLM"]', False), ("null", False)],
    ids=["bert", "llama", "none"],
)
def test_models_of_vectors_are_known_by_their_architecture(
    tmp_path: Path, architectures: str, expected: bool
) -> None:
    (tmp_path / "config.json").write_text(f'{{"architectures": {architectures}}}')
    artifact = Artifact(reference="m", format="hf", path=str(tmp_path))
    assert is_encoder(artifact) is expected


@pytest.mark.parametrize(
    ("architectures", "expected"),
    [
        ('["MixtralForCausalLM"]', True),
        ('["BertModel"]', True),
        ('["LlamaForCausalLM"]', False),
        ("null", False),
    ],
    ids=["mixtral", "bert", "llama", "none"],
)
def test_what_ours_does_not_write_is_left_to_the_official_one(
    tmp_path: Path, architectures: str, expected: bool
) -> None:
    (tmp_path / "config.json").write_text(f'{{"architectures": {architectures}}}')
    artifact = Artifact(reference="m", format="hf", path=str(tmp_path))
    assert is_left_to_official(artifact) is expected
    file = Artifact(reference="m", format="gguf", path=str(tmp_path / "m.gguf"))
    assert is_left_to_official(file) is False


def test_ours_are_those_that_the_program_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed")
    monkeypatch.syspath_prepend(str(WORKERS))
    from llamacpp.architectures import ARCHITECTURES

    assert set(ARCHITECTURES) == OURS
