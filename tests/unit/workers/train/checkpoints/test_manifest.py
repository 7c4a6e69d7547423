"""Any byte that is not as it was written makes a checkpoint one that is passed over."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from train.checkpoints import manifest as manifests
from train.checkpoints.manifest import Manifest, NotWhole, SavedFile


def saved(folder: Path) -> Manifest:
    (folder / "a.distcp").write_bytes(bytes(range(256)) * 8)
    manifest = Manifest(
        step=7,
        left_out=0,
        strategy="ddp",
        world_size=2,
        versions={"torch": "2"},
        recipe={"seed": 1, "model": None},
        recipe_digest="d",
        data={},
        source={"data": "x"},
        random={},
        progress={"spikes": {"losses": [0.1, 2.0]}},
        validation=None,
        files={"a.distcp": manifests.describe_file(folder / "a.distcp")},
    )
    manifests.write(folder, manifest)
    return manifest


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    manifest = saved(tmp_path)
    assert manifests.read(tmp_path) == manifest
    assert manifest.size_bytes == 2048
    assert manifests.check_file(tmp_path, "a.distcp", manifest.files["a.distcp"]) is None


def test_a_flipped_byte_is_found_wherever_it_is(tmp_path: Path) -> None:
    manifest = saved(tmp_path)
    draw = random.Random(0)
    for name in (manifests.NAME, "a.distcp"):
        path = tmp_path / name
        whole = path.read_bytes()
        for _ in range(40):
            content = bytearray(whole)
            content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            path.write_bytes(content)
            assert problem(tmp_path, manifest) is not None
        path.write_bytes(whole)
    assert problem(tmp_path, manifest) is None


def problem(folder: Path, manifest: Manifest) -> str | None:
    try:
        read = manifests.read(folder)
    except NotWhole as error:
        return str(error)
    if read != manifest:
        return None  # a change that nobody noticed
    return manifests.check_file(folder, "a.distcp", read.files["a.distcp"])


def test_a_file_that_is_missing_or_cut_is_named(tmp_path: Path) -> None:
    manifest = saved(tmp_path)
    path = tmp_path / "a.distcp"
    path.write_bytes(path.read_bytes()[:100])
    file = manifest.files["a.distcp"]
    assert manifests.check_file(tmp_path, "a.distcp", file) == "a.distcp has 100 bytes of 2048"
    path.unlink()
    assert manifests.check_file(tmp_path, "a.distcp", file) == "a.distcp is missing"


def test_no_manifest_and_no_json_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotWhole, match="missing"):
        manifests.read(tmp_path)
    for text in ("", "[]", "{}", '{"schema": "llmops.checkpoint/1"', "null"):
        (tmp_path / manifests.NAME).write_text(text)
        with pytest.raises(NotWhole):
            manifests.read(tmp_path)


def test_a_saved_file_is_its_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert manifests.describe_file(tmp_path / "x") == SavedFile(0, empty)


def test_a_manifest_that_is_nested_too_deep_is_not_whole(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / manifests.NAME).write_text("[" * 100_000)
    with pytest.raises(NotWhole):
        manifests.read(tmp_path)
