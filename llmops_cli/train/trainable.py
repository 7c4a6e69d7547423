"""What a config.json must not say if a causal model is to be trained of it."""

from __future__ import annotations

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.families import Config

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


def refuse_untrainable(config: Config, name: str) -> None:
    """Before any work; else the end of a run, or nobody, would find it.

    Raises: UsageError for weights that are quantized, an encoder, or heads that share no keys.
    """
    if config.get("quantization_config"):
        raise UsageError(
            f"{name} is of a quantized model, which cannot be trained",
            hint="the model that it was made of",
        )
    family = config.get("model_type")
    if family in ENCODERS and not config.get("is_decoder"):
        raise UsageError(
            f"{name} is of an encoder ({family}), whose tokens see those behind them",
            hint='a causal model, or "is_decoder": true',
        )
    _refuse_uneven_heads(config, name)


def _refuse_uneven_heads(config: Config, name: str) -> None:
    heads = config.get("num_attention_heads")
    kv_heads = config.get("num_key_value_heads")
    if not isinstance(heads, int) or not isinstance(kv_heads, int) or kv_heads < 1:
        return
    if heads % kv_heads:
        raise UsageError(
            f"{name}: num_attention_heads ({heads}) does not divide by "
            f"num_key_value_heads ({kv_heads})",
            hint="a multiple of it",
        )
