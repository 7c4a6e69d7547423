"""An adapter becomes a file for its base, however the base's file is kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import gguf
import numpy as np

from _shared.protocol import Events, JobError
from llamacpp.lora import work
from tests.small_gguf import WIDTH, arrays, file_with

MODULES = ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj")
RANK = 4


def adapter(tmp_path: Path, **config: Any) -> Path:
    """Of a rank of four, on some modules of the first layer."""
    folder = tmp_path / "adapter"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    drawn = np.random.default_rng(1)
    header: dict[str, Any] = {}
    body = b""
    for module in MODULES:
        for side, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
            values = drawn.normal(size=shape).astype(np.float32)
            name = f"base_model.model.model.layers.0.{module}.lora_{side}.weight"
            offsets = [len(body), len(body) + values.nbytes]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
            body += values.tobytes()
    raw = json.dumps(header).encode()
    weights = struct.pack("<Q", len(raw)) + raw + body
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def converted(base: Path, folder: Path) -> dict[str, np.ndarray]:
    output = base.with_name("adapter.gguf")
    work({"base": str(base), "adapter": str(folder), "output": str(output)}, Events(None))
    return {each.name: np.array(each.data) for each in gguf.GGUFReader(output).tensors}


def test_a_base_in_parts_is_read_whole(tmp_path: Path) -> None:
    folder = adapter(tmp_path, lora_alpha=8)
    expected = converted(file_with(tmp_path / "whole.gguf"), folder)
    assert len(expected) == 2 * len(MODULES)
    tensors = arrays()
    names = sorted(tensors)
    for number, chosen in enumerate((names[:3], names[3:])):
        part = tmp_path / f"m-0000{number + 1}-of-00002.gguf"
        keys = {"split__no": number, "split__count": 2, "split__tensors__count": len(names)}
        file_with(part, {name: tensors[name] for name in chosen}, **keys)
    found = converted(tmp_path / "m-00001-of-00002.gguf", folder)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_an_alpha_of_nothing_and_one_that_is_not_told(tmp_path: Path) -> None:
    base = file_with(tmp_path / "whole.gguf")
    none = converted(base, adapter(tmp_path, lora_alpha=0))
    assert not none["blk.0.ffn_down.weight.lora_b"].any()
    usual = converted(base, adapter(tmp_path))
    told = converted(base, adapter(tmp_path, lora_alpha=8))
    assert all(np.array_equal(usual[name], told[name]) for name in told)


def test_a_base_of_an_architecture_without_names_is_refused(tmp_path: Path) -> None:
    base = file_with(tmp_path / "odd.gguf", general__architecture="nobodys")
    with pytest.raises(JobError, match="adapters of 'nobodys' are not converted here"):
        converted(base, adapter(tmp_path))
