"""The tensors that Transformers would read for a configuration, with their shapes."""

import gguf

from llamacpp.architectures import GEMMA, Architecture
from llamacpp.defaults import ModelFields

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"

Shapes = dict[str, tuple[int, ...]]


def expected_shapes(config: ModelFields, architecture: Architecture) -> Shapes:
    """By name as in a model of text alone; the head is among them."""
    hidden = config["hidden_size"]
    vocabulary = config["vocab_size"]
    shapes: Shapes = {EMBEDDING: (vocabulary, hidden)}
    of_layer = {**_attention(config, architecture.gguf), **_feed_forward(config, architecture.gguf)}
    for name in _norms(architecture.gguf):
        of_layer[f"{name}.weight"] = (hidden,)
    for number in range(config["num_hidden_layers"]):
        for name, shape in of_layer.items():
            shapes[f"model.layers.{number}.{name}"] = shape
    shapes["model.norm.weight"] = (hidden,)
    shapes[HEAD] = (vocabulary, hidden)
    return shapes


def _norms(architecture: gguf.MODEL_ARCH) -> list[str]:
    names = ["input_layernorm", "post_attention_layernorm"]
    if architecture in GEMMA:
        names += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    return names


def _attention(config: ModelFields, architecture: gguf.MODEL_ARCH) -> Shapes:
    hidden = config["hidden_size"]
    head_dim = config["head_dim"]
    query = config["num_attention_heads"] * head_dim
    key = config["num_key_value_heads"] * head_dim
    if architecture == gguf.MODEL_ARCH.PHI3:
        fused = {"qkv_proj": (query + 2 * key, hidden), "o_proj": (hidden, query)}
        return _matrices("self_attn", fused)
    shapes = {
        "q_proj": (query, hidden),
        "k_proj": (key, hidden),
        "v_proj": (key, hidden),
        "o_proj": (hidden, query),
    }
    found = _matrices("self_attn", shapes)
    for name in _biased(config, architecture):
        found[f"self_attn.{name}.bias"] = shapes[name][:1]
    if architecture in (gguf.MODEL_ARCH.QWEN3, gguf.MODEL_ARCH.GEMMA3):
        found["self_attn.q_norm.weight"] = (head_dim,)
        found["self_attn.k_norm.weight"] = (head_dim,)
    return found


def _biased(config: ModelFields, architecture: gguf.MODEL_ARCH) -> list[str]:
    if architecture == gguf.MODEL_ARCH.QWEN2:
        return ["q_proj", "k_proj", "v_proj"]
    if config.get("attention_bias"):
        return ["q_proj", "k_proj", "v_proj", "o_proj"]
    return []


def _feed_forward(config: ModelFields, architecture: gguf.MODEL_ARCH) -> Shapes:
    hidden = config["hidden_size"]
    inner = config["intermediate_size"]
    if architecture == gguf.MODEL_ARCH.PHI3:
        fused = {"gate_up_proj": (2 * inner, hidden), "down_proj": (hidden, inner)}
        return _matrices("mlp", fused)
    shapes = {
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }
    found = _matrices("mlp", shapes)
    if config.get("mlp_bias"):
        for name, shape in shapes.items():
            found[f"mlp.{name}.bias"] = shape[:1]
    return found


def _matrices(part: str, shapes: dict[str, tuple[int, int]]) -> Shapes:
    return {f"{part}.{name}.weight": shape for name, shape in shapes.items()}
