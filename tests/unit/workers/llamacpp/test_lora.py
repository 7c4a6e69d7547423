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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"init_lora_weights": "pissa"}, "belongs to a base whose weights it changed"),
        ({"init_lora_weights": "pissa_niter_16"}, "belongs to a base"),
        ({"init_lora_weights": "OLoRA"}, "belongs to a base"),
        ({"alora_invocation_tokens": [5, 6]}, "alora_invocation_tokens"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication"),
        ({"use_dora": True}, "use_dora"),
        ({"lora_alpha": "16"}, "lora_alpha is no number"),
        ({"lora_alpha": float("nan")}, "lora_alpha is no number"),
        ({"alpha_pattern": ["q_proj"]}, "alpha_pattern none"),
        ({"alpha_pattern": {"q_(proj": 2}}, "alpha_pattern none"),
    ],
    ids=str,
)
def test_an_adapter_that_is_more_than_a_product_is_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    base = file_with(tmp_path / "whole.gguf")
    with pytest.raises(JobError, match=message):
        converted(base, adapter(tmp_path, **config))


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal", None])
def test_what_an_adapter_began_with_changes_nothing_else(tmp_path: Path, start: object) -> None:
    base = file_with(tmp_path / "whole.gguf")
    assert converted(base, adapter(tmp_path, init_lora_weights=start))


@pytest.mark.parametrize("value", [[], [["r", 8]], 3, "text"], ids=str)
def test_a_configuration_that_is_no_object_is_refused(tmp_path: Path, value: object) -> None:
    folder = adapter(tmp_path)
    (folder / "adapter_config.json").write_text(json.dumps(value))
    with pytest.raises(JobError, match="and no object"):
        converted(file_with(tmp_path / "whole.gguf"), folder)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"A": np.ones((2, WIDTH)), "B": np.ones((WIDTH, 3))}, "sides of .* are"),
        ({"A": np.ones((0, WIDTH)), "B": np.ones((WIDTH, 0))}, "sides of .* are"),
        ({"A": np.ones(WIDTH), "B": np.ones((WIDTH, 1))}, "sides of .* are"),
        ({"A": np.full((2, WIDTH), np.nan), "B": np.ones((WIDTH, 2))}, "NaN or infinite"),
        ({"A": np.ones((2, WIDTH), np.int8), "B": np.ones((WIDTH, 2))}, "is I8"),
    ],
    ids=["ranks", "none", "vector", "nan", "whole-numbers"],
)
def test_sides_that_are_no_pair_are_refused(
    tmp_path: Path, sides: dict[str, np.ndarray], message: str
) -> None:
    from safetensors.numpy import save_file

    folder = adapter(tmp_path)
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    kinds = {np.dtype(np.float64): np.float32}
    named = {
        f"{module}.lora_{side}.weight": values.astype(kinds.get(values.dtype, values.dtype))
        for side, values in sides.items()
    }
    save_file(named, folder / "adapter_model.safetensors")
    with pytest.raises(JobError, match=message):
        converted(file_with(tmp_path / "whole.gguf"), folder)
