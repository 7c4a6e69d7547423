"""Pickled weights are read as data: tensors come out as they were, code is never run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from _shared.protocol import Events, JobError
from _shared.safetensors import open_model
from hf.unpickle import work

NOWHERE = Events(None)
WEIGHT = torch.arange(12, dtype=torch.float32).reshape(3, 4)
STATE = {
    "a.weight": WEIGHT,
    "tied.weight": WEIGHT,
    "part.weight": WEIGHT[:, 1:3],
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "number": torch.tensor(7),
}


def folder_of(tmp_path: Path, state: Any = None, **options: Any) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"no weights, and left behind")
    if state is not None:
        torch.save(state, folder / "pytorch_model.bin", **options)
    return folder


def unpickled(folder: Path) -> Path:
    output = folder.with_name("out")
    work({"model": str(folder), "output": str(output)}, NOWHERE)
    return output


def refused(folder: Path) -> str:
    """What is said, both when it is listed and when it is read."""
    said = []
    output = folder.with_name("refused")
    for job in ({"model": str(folder)}, {"model": str(folder), "output": str(output)}):
        with pytest.raises(JobError) as caught:
            work(job, NOWHERE)
        assert caught.value.kind == "UsageError"
        assert "\n" not in caught.value.message
        said.append(caught.value.message)
    shutil.rmtree(output, ignore_errors=True)
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "of old"])
def test_tensors_come_out_as_they_were(tmp_path: Path, is_archive: bool) -> None:
    folder = folder_of(tmp_path, STATE, _use_new_zipfile_serialization=is_archive)
    output = unpickled(folder)
    assert sorted(path.name for path in output.iterdir()) == ["config.json", "model.safetensors"]
    from safetensors.torch import load_file

    found = load_file(output / "model.safetensors")
    assert found.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    listed = {name: size for name, _, _, size in work({"model": str(folder)}, NOWHERE)["tensors"]}
    assert listed == {name: each.numel() * each.element_size() for name, each in STATE.items()}


def sharded(tmp_path: Path, places: dict[str, str]) -> Path:
    folder = folder_of(tmp_path)
    index = {"weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a": "one.bin", "b": "two.bin"})
    torch.save({"a": WEIGHT}, folder / "one.bin")
    assert "weights are missing" in refused(folder)
    torch.save({"c": WEIGHT}, folder / "two.bin")
    assert "lacks 1 of its tensors, such as 'b'" in refused(folder)
    torch.save({"b": WEIGHT + 1}, folder / "two.bin")
    assert sorted(open_model(unpickled(folder))) == ["a", "b"]


def test_the_single_file_goes_before_shards_as_in_transformers(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"old": "one.bin"})
    torch.save({"old": WEIGHT}, folder / "one.bin")
    torch.save({"new": WEIGHT}, folder / "pytorch_model.bin")
    assert list(open_model(unpickled(folder))) == ["new"]


def test_what_is_no_file_of_the_model_stays_behind(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a": WEIGHT})
    (folder / "consolidated.safetensors").write_bytes(b"of another program")
    (folder / "gone.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    output = unpickled(folder)
    assert sorted(path.name for path in output.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("place", ["../two.bin", "/etc/passwd", "", "a\0b", "a" * 300])
def test_an_index_leads_nowhere_else(tmp_path: Path, place: str) -> None:
    folder = sharded(tmp_path, {"a": place})
    said = refused(folder)
    assert "outside of its folder" in said or "weights are missing" in said


class Code:
    """What a hostile pickle does when it is loaded as Python loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "of old"])
def test_code_is_refused_and_never_run(tmp_path: Path, is_archive: bool) -> None:
    ran = tmp_path / "ran"
    state = {"a": WEIGHT, "b": Code(ran)}
    folder = folder_of(tmp_path, state, _use_new_zipfile_serialization=is_archive)
    assert "holds more than tensors; nothing of it ran" in refused(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Code(ran)))
    assert "nothing of it ran" in refused(folder)
    assert not ran.exists()


def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path: Path) -> None:
    assert "holds a list instead of named tensors" in refused(folder_of(tmp_path, [WEIGHT]))
    said = refused(folder_of(tmp_path, {"state_dict": {"a": WEIGHT}}))
    assert "holds 'state_dict', a dict, beside named tensors" in said
    assert "a int" in refused(folder_of(tmp_path, {"a": WEIGHT, "step": 3}))
    sparse = torch.eye(3).to_sparse()
    assert "no plain tensor" in refused(folder_of(tmp_path, {"a": sparse}))


def test_a_small_file_does_not_become_a_large_model(tmp_path: Path) -> None:
    wide = torch.zeros(1).expand(1 << 40)
    assert "has more values than it keeps" in refused(folder_of(tmp_path, {"a": wide}))
    many = torch.zeros(1 << 16)
    state = {f"tensor {number}": many for number in range(9)}
    assert "more values than fit into it" in refused(folder_of(tmp_path, state))


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a": torch.zeros(1 << 16)})
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert "holds packed contents" in refused(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"garbage", b"\x80\x02.", struct.pack("<Q", 1 << 62), b"version https://git-lfs"],
    ids=["empty", "PK", "garbage", "nothing", "length", "pointer"],
)
def test_damaged_files_are_told_in_a_line(tmp_path: Path, content: bytes) -> None:
    folder = folder_of(tmp_path)
    (folder / "pytorch_model.bin").write_bytes(content)
    assert "pytorch_model.bin" in refused(folder)


def test_every_cut_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, STATE)
    path = folder / "pytorch_model.bin"
    whole = path.read_bytes()
    for end in range(8, len(whole) - 1, len(whole) // 12):
        path.write_bytes(whole[:end])
        assert "pytorch_model.bin" in refused(folder)
