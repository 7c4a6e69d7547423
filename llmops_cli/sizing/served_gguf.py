"""A GGUF file as a served model: sizes as its tensors have them, layers by their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.header import GgufTensor
from llmops_cli.models.gguf.parts import GgufModel
from llmops_cli.sizing.gguf_mix import GgufShape
from llmops_cli.sizing.parameters import ATTENTION, EMBEDDING, EXPERT, HEAD, Tensor
from llmops_cli.sizing.served import Layer, LayerKind, ServedModel
from llmops_cli.sizing.windows import windows

FAMILIES = {
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gpt-oss": "gpt_oss",
}
"""llama.cpp's names of architectures whose windows the configs of Transformers call otherwise."""
_LAYER = re.compile(r"blk\.(\d+)\.(.+)")
TABLE = "token_embd.weight"
TABLES = frozenset({TABLE, "per_layer_token_embd.weight", "position_embd.weight"})
"""What is looked up, and not multiplied with."""
SHARED_LAYERS = {"gemma3n": 15}
"""Layers at the end that read another's cache, where a file does not tell."""
OUTPUT = "output.weight"


def served_gguf(model: GgufModel) -> ServedModel:
    """Raises: UsageError for a file without embeddings, heads or layers that can be told."""
    tensors = {each.name: each for each in model.tensors}
    table = tensors.get(TABLE)
    if table is None or len(table.shape) != 2:
        raise UsageError(f"{model.path} has no token embeddings", hint="a language model's file")
    experts = _key(model, "expert_count") or 0
    active = _key(model, "expert_used_count") or experts
    share = active / experts if experts else 1.0
    kept = tuple(_tensor(each, share) for each in model.tensors)
    layers = _layers(model, tensors)
    return ServedModel(
        name=model.stem,
        source=str(model.path),
        model_type=model.architecture or "",
        hidden_size=table.shape[0],
        vocab_size=table.shape[1],
        layers=layers,
        tensors=kept,
        parameters_total=model.values,
        parameters_active=round(sum(each.elements * each.active_share for each in kept)),
        dtype="F16",
        gguf=GgufShape(layers=len(layers), experts=experts, is_tied=OUTPUT not in tensors),
        context=_key(model, "context_length"),
        heads=_key(model, "attention.head_count"),
        is_tied=OUTPUT not in tensors,
        formats={each.name: each.size_bytes for each in model.tensors},
    )


def _key(model: GgufModel, name: str) -> int | None:
    return model.header.number(f"{model.architecture}.{name}")


def _tensor(tensor: GgufTensor, share: float) -> Tensor:
    """Shapes as Transformers has them: the numbers of a row last."""
    role = HEAD if tensor.name == OUTPUT else ATTENTION
    if tensor.name in TABLES:
        role = EMBEDDING
    is_expert = "_exps." in tensor.name
    return Tensor(
        name=tensor.name,
        shape=tuple(reversed(tensor.shape)),
        role=EXPERT if is_expert else role,
        active_share=share if is_expert else 1.0,
    )


def _layers(
    model: GgufModel,
    tensors: Mapping[str, GgufTensor],
) -> tuple[Layer, ...]:
    matches = (_LAYER.fullmatch(name) for name in tensors)
    numbers = {int(match[1]) for match in matches if match}
    count = len(numbers)
    if not numbers or max(numbers) >= count:
        raise UsageError(f"{model.path} has no whole list of layers", hint="download it again")
    reach = _reach(model, count)
    shared = _key(model, "attention.shared_kv_layers")
    if shared is None:
        shared = SHARED_LAYERS.get(model.architecture or "", 0)
    found = []
    for number in range(count):
        is_shared = number >= count - shared
        layer = _layer(model, tensors, number, window=reach[number], is_shared=is_shared)
        found.append(layer)
    return tuple(found)


def _reach(model: GgufModel, count: int) -> list[int | None]:
    """The window of each layer, by the pattern of its family."""
    name = model.architecture or ""
    config = {"sliding_window": _key(model, "attention.sliding_window")}
    return windows(config, model_type=FAMILIES.get(name, name), count=count)


def _layer(
    model: GgufModel,
    tensors: Mapping[str, GgufTensor],
    number: int,
    *,
    window: int | None,
    is_shared: bool,
) -> Layer:
    prefix = f"blk.{number}."
    latent = tensors.get(f"{prefix}attn_kv_a_mqa.weight")
    if latent is not None:
        return Layer(
            kind="latent",
            token_values=latent.shape[-1],
            cache_heads=1,
            attention_flops=_latent_flops(model),
        )
    state = _recurrent(model) if f"{prefix}ssm_conv1d.weight" in tensors else None
    values = _cached_values(model, tensors, prefix)
    if values:
        kind: LayerKind = "full" if window is None else "window"
        return Layer(
            kind=kind,
            token_values=values,
            window=window,
            shares_cache=is_shared,
            conv_values=0 if state is None else state.conv_values,
            state_values=0 if state is None else state.state_values,
            attention_flops=4.0 * _query_size(tensors, prefix),
            cache_heads=_key(model, "attention.head_count_kv"),
        )
    if state is not None:
        return state
    if f"{prefix}shortconv.conv.weight" in tensors:
        return Layer(kind="recurrent", conv_values=_short_values(model))
    return Layer(kind="none")


def _latent_flops(model: GgufModel) -> float:
    """Two products of two operations each, of all heads."""
    heads = _key(model, "attention.head_count") or 0
    key = _key(model, "attention.key_length_mla") or _key(model, "attention.key_length") or 0
    value = _key(model, "attention.value_length_mla") or _key(model, "attention.value_length") or 0
    return 2.0 * heads * (key + value)


def _short_values(model: GgufModel) -> int:
    kernel = _key(model, "shortconv.l_cache") or 1
    return (kernel - 1) * (_key(model, "embedding_length") or 0)


def _query_size(tensors: Mapping[str, GgufTensor], prefix: str) -> int:
    """All heads together, as the output's matrix takes them."""
    output = tensors.get(f"{prefix}attn_output.weight")
    return 0 if output is None else output.shape[0]


def _cached_values(
    model: GgufModel,
    tensors: Mapping[str, GgufTensor],
    prefix: str,
) -> int:
    """Outputs of keys and values, 0 for a layer that has none."""
    key = tensors.get(f"{prefix}attn_k.weight")
    value = tensors.get(f"{prefix}attn_v.weight", key)
    if key is not None and value is not None:
        return key.shape[-1] + value.shape[-1]
    fused = tensors.get(f"{prefix}attn_qkv.weight")
    output = tensors.get(f"{prefix}attn_output.weight")
    if fused is None or output is None:
        return 0
    return fused.shape[-1] - output.shape[0]


def _recurrent(model: GgufModel) -> Layer:
    """Source: llama-hparams.cpp of llama.cpp, n_embd_r and n_embd_s."""
    inner = _key(model, "ssm.inner_size") or 0
    state = _key(model, "ssm.state_size") or 0
    groups = _key(model, "ssm.group_count") or 0
    kernel = _key(model, "ssm.conv_kernel") or 1
    return Layer(
        kind="recurrent",
        conv_values=(kernel - 1) * (inner + 2 * groups * state),
        state_values=inner * state,
    )
