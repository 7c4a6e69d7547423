"""Parts that a quantized folder lacks or has of its own, whatever its library calls tensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llmops_cli.quantize.tensor_names import names_beside

ORIGINAL = (
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.q_proj.bias",
    "model.layers.0.mlp.experts.0.w1.weight",
    "model.layers.0.input_layernorm.weight",
    "model.norm.weight",
)
KEPT = (
    "model.embed_tokens.weight",
    "model.layers.0.mlp.experts.gate_up_proj",
    "model.layers.0.input_layernorm.weight",
    "model.norm.weight",
    "lm_head.weight",
)
Q = "model.layers.0.self_attn.q_proj"


def folder(place: Path, names: tuple[str, ...]) -> Path:
    place.mkdir()
    header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in names}
    raw = json.dumps(header).encode()
    (place / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * 4)
    return place


@pytest.mark.parametrize(
    "quantized",
    [
        (f"{Q}.weight_packed", f"{Q}.weight_scale", f"{Q}.weight_shape", f"{Q}.bias"),
        (f"{Q}.qweight", f"{Q}.qzeros", f"{Q}.scales", f"{Q}.g_idx"),
        (f"{Q}.weight", f"{Q}.weight.absmax", f"{Q}.weight.quant_state.bitsandbytes__nf4"),
        (f"{Q}.weight", "model.layers.0.self_attn.k_scale", f"{Q}.input_scale"),
        (f"{Q}._weight_qdata", f"{Q}._weight_scale", f"{Q}.bias"),
    ],
)
def test_every_librarys_names_are_of_the_same_modules(
    quantized: tuple[str, ...], tmp_path: Path
) -> None:
    original = folder(tmp_path / "original", ORIGINAL)
    found = names_beside(original, folder(tmp_path / "copy", KEPT + quantized))
    assert found is not None
    assert (found.missing, found.unexpected) == ((), ())


def test_what_is_missing_and_what_is_more_is_named(tmp_path: Path) -> None:
    original = folder(tmp_path / "original", ORIGINAL)
    found = names_beside(original, folder(tmp_path / "copy", (*KEPT, "model.extra.weight")))
    assert found is not None
    assert found.missing == ("layers.0.self_attn.q_proj",)
    assert found.unexpected == ("extra",)


def test_a_copy_without_safetensors_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    assert names_beside(folder(tmp_path / "original", ORIGINAL), tmp_path / "copy") is None
