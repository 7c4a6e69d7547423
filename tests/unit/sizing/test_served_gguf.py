"""Layers of a GGUF file, told by the shapes of its tensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.served import (
    active_weight_bytes_per_token,
    kv_bytes_per_token,
    state_bytes,
    weights_bytes,
)
from llmops_cli.sizing.served_models import read_model
from tests.gguf_bytes import Tensor, gguf

WIDTH = 64
EMBEDDINGS = ("token_embd.weight", (WIDTH, 100))
OUTPUT = ("blk.0.attn_output.weight", (WIDTH, WIDTH))
Shapes = list[tuple[str, tuple[int, ...]]]


def written(folder: Path, shapes: Shapes, keys: dict[str, object] | None = None) -> str:
    """A file of f32 tensors of these shapes."""
    tensors = []
    offset = 0
    for name, shape in shapes:
        size_bytes = 4
        for each in shape:
            size_bytes *= each
        tensors.append(Tensor(name, shape, 0, offset, size_bytes))
        offset += size_bytes
    path = folder / "model.gguf"
    path.write_bytes(gguf({"general.architecture": "llama", **(keys or {})}, tensors))
    return str(path)


@pytest.mark.parametrize(
    ("shapes", "values"),
    [
        ([("blk.0.attn_k.weight", (64, 16)), ("blk.0.attn_v.weight", (64, 24))], 40),
        ([("blk.0.attn_qkv.weight", (64, 96)), OUTPUT], 32),
        ([("blk.0.attn_kv_a_mqa.weight", (64, 20)), OUTPUT], 20),
        ([("blk.0.ffn_up.weight", (64, 96))], 0),
    ],
    ids=["apart", "fused", "latent", "none"],
)
def test_shapes_tell_what_a_token_leaves_in_the_cache(
    shapes: Shapes,
    values: int,
    tmp_path: Path,
) -> None:
    model = read_model(written(tmp_path, [EMBEDDINGS, *shapes]))
    assert kv_bytes_per_token(model) == 2 * values


def test_layers_of_one_file_may_differ(tmp_path: Path) -> None:
    shapes = [
        EMBEDDINGS,
        ("blk.0.attn_k.weight", (64, 16)),
        ("blk.1.attn_k.weight", (64, 32)),
        ("blk.2.ssm_conv1d.weight", (4, 96)),
    ]
    keys: dict[str, object] = {
        "llama.ssm.inner_size": 80,
        "llama.ssm.state_size": 8,
        "llama.ssm.group_count": 1,
        "llama.ssm.conv_kernel": 4,
    }
    model = read_model(written(tmp_path, shapes, keys))
    assert [layer.kind for layer in model.layers] == ["full", "full", "recurrent"]
    assert kv_bytes_per_token(model) == 2 * (2 * 16 + 2 * 32)
    assert state_bytes(model) == 2 * 3 * 96 + 4 * 80 * 8


def test_sizes_are_those_of_the_file_and_experts_are_met_in_part(tmp_path: Path) -> None:
    shapes = [EMBEDDINGS, ("output.weight", (64, 100)), ("blk.0.ffn_up_exps.weight", (64, 8, 4))]
    keys: dict[str, object] = {"llama.expert_count": 4, "llama.expert_used_count": 1}
    model = read_model(written(tmp_path, shapes, keys))
    assert weights_bytes(model) == 4 * (2 * 6_400 + 2_048)
    assert model.parameters_active == 2 * 6_400 + 512
    assert active_weight_bytes_per_token(model) == 4 * (6_400 + 512)


@pytest.mark.parametrize(
    "shapes",
    [[("blk.0.attn_k.weight", (64, 16))], [EMBEDDINGS], [EMBEDDINGS, ("blk.1.attn_k", (64, 16))]],
    ids=["no embeddings", "no layers", "a layer is missing"],
)
def test_a_file_that_is_no_decoder_is_refused(shapes: Shapes, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as found:
        read_model(written(tmp_path, shapes))
    assert found.value.hint is not None


def test_attention_beside_a_state_has_both(tmp_path: Path) -> None:
    """As Falcon-H1: keys and values, and what a sequence leaves in the state space."""
    shapes = [
        EMBEDDINGS,
        ("blk.0.attn_k.weight", (64, 16)),
        ("blk.0.attn_v.weight", (64, 16)),
        ("blk.0.ssm_conv1d.weight", (4, 48)),
    ]
    keys = {f"llama.ssm.{name}": value for name, value in STATE_KEYS.items()}
    model = read_model(written(tmp_path, shapes, keys))
    assert kv_bytes_per_token(model) == 2 * 32
    assert state_bytes(model) == 3 * (32 + 2 * 8) * 2 + 32 * 8 * 4


STATE_KEYS = {"inner_size": 32, "state_size": 8, "group_count": 1, "conv_kernel": 4}


def test_layers_at_the_end_that_share_a_cache_have_none(tmp_path: Path) -> None:
    layers = [
        (f"blk.{number}.attn_{part}.weight", (64, 16)) for number in range(5) for part in "kv"
    ]
    keys = {"llama.attention.shared_kv_layers": 2}
    model = read_model(written(tmp_path, [EMBEDDINGS, *layers], keys))
    assert kv_bytes_per_token(model) == 3 * 32 * 2


def test_latent_attention_costs_operations_of_all_heads(tmp_path: Path) -> None:
    shapes = [EMBEDDINGS, ("blk.0.attn_kv_a_mqa.weight", (64, 20)), OUTPUT]
    keys = {
        "llama.attention.head_count": 4,
        "llama.attention.key_length_mla": 24,
        "llama.attention.value_length_mla": 16,
    }
    layer = read_model(written(tmp_path, shapes, keys)).layers[0]
    assert layer.attention_flops == 2 * 4 * (24 + 16)
