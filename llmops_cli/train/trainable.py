"""What a config.json must not say if a causal model is to be trained of it."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.sizing.families import FAMILIES, Config

# Transformers makes causal models of these too, whose tokens see those behind them unless
# `is_decoder` is set: the loss then falls by reading the answer.
ENCODERS = frozenset(
    {
        "bert",
        "bert-generation",
        "big_bird",
        "camembert",
        "data2vec-text",
        "electra",
        "ernie",
        "megatron-bert",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roc_bert",
        "roformer",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
ACTIVATION_KEYS = ("hidden_act", "hidden_activation", "activation_function")
# transformers.activations.ACT2CLS, of 5.17.
ACTIVATIONS = frozenset(
    {
        "gelu",
        "gelu_10",
        "gelu_accurate",
        "gelu_fast",
        "gelu_new",
        "gelu_python",
        "gelu_python_tanh",
        "gelu_pytorch_tanh",
        "hardswish",
        "laplace",
        "leaky_relu",
        "linear",
        "mish",
        "prelu",
        "quick_gelu",
        "relu",
        "relu2",
        "relu6",
        "sigmoid",
        "silu",
        "sqrtsoftplus",
        "swish",
        "tanh",
        "xielu",
    }
)
SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "n_embd",
    "n_head",
    "n_layer",
    "n_positions",
)
"""Keys that are whole numbers above 0, where they are there and not null."""


def refuse_untrainable(config: Config, name: str) -> None:
    """Before any work; else the end of a run, or nobody, would find it.

    Raises: UsageError for weights that are quantized, an encoder, and what no model can be made of.
    """
    if config.get("quantization_config"):
        raise UsageError(
            f"{name} is of a quantized model, which cannot be trained",
            hint="the model that it was made of",
        )
    family = config.get("model_type")
    if not isinstance(family, str) or not family:
        raise UsageError(
            f"{name}: the configuration has no model_type, so it is of no known family",
            hint='a config.json of Transformers, such as one with "model_type": "llama"',
        )
    if family in ENCODERS and not config.get("is_decoder"):
        raise UsageError(
            f"{name} is of an encoder ({family}), whose tokens see those behind them",
            hint='a causal model, or "is_decoder": true',
        )
    _refuse_sizes(config, name)
    _refuse_activation(config)
    _refuse_heads(config, name)


def _refuse_sizes(config: Config, name: str) -> None:
    for key in SIZES:
        value = config.get(key)
        is_size = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if value is not None and not is_size:
            raise UsageError(
                f"{name}: {key} is {value!r}, and must be a whole number above 0",
                hint="mend the config.json",
            )


def _refuse_activation(config: Config) -> None:
    for key in ACTIVATION_KEYS:
        value = config.get(key)
        if isinstance(value, str) and value not in ACTIVATIONS:
            raise unknown_name(key, value, sorted(ACTIVATIONS))


def _refuse_heads(config: Config, name: str) -> None:
    """Heads share the hidden size evenly, and keys and values evenly; rotation needs pairs."""
    heads = _size(config, "num_attention_heads") or _size(config, "n_head")
    hidden = _size(config, "hidden_size") or _size(config, "n_embd")
    if heads == 0:
        return
    kv_heads = _size(config, "num_key_value_heads")
    if kv_heads and heads % kv_heads:
        raise _uneven(name, "num_attention_heads", heads, "num_key_value_heads", kv_heads)
    if hidden and hidden % heads and not _has_own_head_size(config):
        raise _uneven(name, "hidden_size", hidden, "num_attention_heads", heads)


def _has_own_head_size(config: Config) -> bool:
    """Llama's config divides the hidden size all the same (Transformers' validate_architecture)."""
    family = config.get("model_type")
    if family == "llama":
        return False
    known = FAMILIES.get(str(family))
    has_usual_size = known is not None and known.head_dim is not None
    return has_usual_size or _size(config, "head_dim") > 0 or "kv_lora_rank" in config


def _size(config: Mapping[str, object], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) else 0


def _uneven(name: str, what: str, count: int, by: str, parts: int) -> UsageError:
    return UsageError(
        f"{name}: {what} ({count}) does not divide by {by} ({parts})",
        hint=f"{what} {max(parts, count - count % parts)}, or another {by}",
    )
