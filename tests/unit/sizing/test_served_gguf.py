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
