"""A GGUF model in parts is read from any of them, and only if all are there and belong together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.models.find import find_model
from llmops_cli.models.gguf.parts import read_gguf
from tests.gguf_bytes import Tensor, gguf, split


def test_all_parts_are_one_model_whichever_is_named(tmp_path: Path) -> None:
    paths = split(tmp_path, 3, stem="a-model.Q8_0")
    for path in paths:
        model = read_gguf(path)
        assert model.paths == tuple(paths)
        assert (model.path, model.stem) == (paths[0], "a-model.Q8_0")
        assert [tensor.name for tensor in model.tensors] == [
            f"blk.{number}.attn_q.weight" for number in range(3)
        ]
        assert model.size_bytes == sum(path.stat().st_size for path in paths)
        assert model.bits_per_weight == 32
        assert model.architecture == "llama"


def test_a_model_in_one_file_is_one_part(tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-00002.gguf"  # a name alone makes no split
    path.write_bytes(gguf({}, [Tensor("a", (256, 1), 12, 0, 144), Tensor("b", (8,), 0, 160)]))
    model = read_gguf(path)
    assert (model.paths, model.stem) == ((path,), "m-00001-of-00002")
    assert model.bits_per_weight == pytest.approx((144 + 32) * 8 / 264)
    assert model.quantized_types == ("Q4_K",)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = split(tmp_path, 4)
    paths[2].unlink()
    with pytest.raises(UsageError, match=r"m-00003-of-00004\.gguf of 4 parts .* is missing"):
        read_gguf(paths[0])
    paths[1].unlink()
    with pytest.raises(UsageError, match=r"m-00002-of-00004\.gguf and 1 more of 4"):
        read_gguf(paths[3])


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    paths = split(tmp_path, 3)
    shutil.copy(paths[1], paths[2])
    with pytest.raises(UsageError, match="is not part 3 of 3: it says that it is part 2 of 3"):
        read_gguf(paths[0])
    paths[2].write_bytes(gguf())
    with pytest.raises(UsageError, match="it says that it is no part at all"):
        read_gguf(paths[0])
    keys = {"split.no": 2, "split.count": 3}
    paths[2].write_bytes(gguf(keys, [Tensor("blk.0.attn_q.weight")]))
    with pytest.raises(UsageError, match="two parts hold the same tensor"):
        read_gguf(paths[0])
    paths[2].write_bytes(gguf(keys, []))
    with pytest.raises(UsageError, match="the parts hold 2 of 3 tensors"):
        read_gguf(paths[0])
    paths[2].write_bytes(b"GGUF")
    with pytest.raises(UsageError, match=r"m-00003-of-00003\.gguf is no whole GGUF file"):
        read_gguf(paths[0])


def test_a_part_whose_name_does_not_tell_is_refused(tmp_path: Path) -> None:
    (first, _) = split(tmp_path, 2)
    renamed = first.rename(tmp_path / "model.gguf")
    with pytest.raises(UsageError, match="its name does not tell which"):
        read_gguf(renamed)
    renamed = renamed.rename(tmp_path / "m-00001-of-00003.gguf")
    with pytest.raises(UsageError, match="one of 2 parts, unlike its name"):
        read_gguf(renamed)


def test_a_model_is_found_by_any_part_by_its_folder_and_through_links(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for number, path in enumerate(split(tmp_path, 2)):
        blob = path.rename(blobs / f"{number}")
        (folder / path.name).symlink_to(blob)
    first = folder / "m-00001-of-00002.gguf"
    second = folder / "m-00002-of-00002.gguf"
    found = [find_model(str(each), progress=Silent()) for each in (first, second, folder)]
    assert {each.path for each in found} == {str(first)}
    assert len({each.digest for each in found}) == 1
    assert {each.size_bytes for each in found} == {sum(b.stat().st_size for b in blobs.iterdir())}
    second.resolve().write_bytes(second.read_bytes()[:-1] + b"\1")
    changed = find_model(str(first), progress=Silent())
    assert changed.digest != found[0].digest


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    for name, keys, said in (
        ("lora.gguf", {"general.type": "adapter"}, "its general.type is adapter"),
        ("matrix.gguf", {"general.type": "imatrix"}, "its general.type is imatrix"),
    ):
        path = tmp_path / name
        path.write_bytes(gguf(keys))
        with pytest.raises(UsageError, match=said):
            find_model(str(path), progress=Silent())
    empty = tmp_path / "vocabulary.gguf"
    empty.write_bytes(gguf({}, []))
    with pytest.raises(UsageError, match="has no tensors"):
        find_model(str(empty), progress=Silent())
    with pytest.raises(UsageError, match=r"has no config\.json") as caught:
        find_model(str(tmp_path), progress=Silent())
    assert "lora.gguf, matrix.gguf, vocabulary.gguf" in str(caught.value.hint)
