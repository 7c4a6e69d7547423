"""A model's sizes as GGUF keys. Refuses what llama.cpp would compute differently."""

import gguf

from _shared.protocol import JobError
from llamacpp.architectures import GEMMA
from llamacpp.context import Context
from llamacpp.defaults import ModelFields

NO_CAP = 2.0**24
"""So far from any logit that tanh(x / cap) * cap is x in float32: llama.cpp always caps Gemma 2."""
SILU = ("silu", "swish")
TANH_GELU = ("gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_python_tanh")
FULL_EVERY = {gguf.MODEL_ARCH.GEMMA2: 2, gguf.MODEL_ARCH.GEMMA3: 6}
"""Of so many layers llama.cpp lets the last see the whole context, unless a key says which."""
NEEDS_HIDDEN_HEADS = (gguf.MODEL_ARCH.QWEN2, gguf.MODEL_ARCH.PHI3)
"""llama.cpp takes their heads to be as wide as the hidden size in all."""


def add_hparams(
    writer: gguf.GGUFWriter,
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
    context: Context,
) -> None:
    """Raises: JobError for what llama.cpp would compute differently."""
    check(config, architecture)
    writer.add_context_length(context.tokens)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if has_unusual_heads(config) or architecture in GEMMA:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if architecture in GEMMA:
        _add_gemma(writer, config, architecture)


def _add_gemma(
    writer: gguf.GGUFWriter,
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
) -> None:
    final_cap = config["final_logit_softcapping"]
    if architecture == gguf.MODEL_ARCH.GEMMA2:
        attention_cap = config["attn_logit_softcapping"]
        writer.add_attn_logit_softcapping(attention_cap or NO_CAP)
        writer.add_final_logit_softcapping(final_cap or NO_CAP)
    elif final_cap:
        writer.add_final_logit_softcapping(final_cap)
    slides = [kind == "sliding_attention" for kind in config["layer_types"]]
    every = FULL_EVERY[architecture]
    if any(slides):
        writer.add_sliding_window(config["sliding_window"])
    if any(slides) and slides != [number % every != 0 for number in range(1, len(slides) + 1)]:
        writer.add_sliding_window_pattern(slides)


def check(config: ModelFields, architecture: gguf.MODEL_ARCH) -> None:
    """llama.cpp fixes these in code, so a model that differs would run wrong without a word."""
    name = gguf.MODEL_ARCH_NAMES[architecture]
    _check_activation(config, architecture)
    heads = config["num_attention_heads"]
    hidden = config["hidden_size"]
    if architecture in NEEDS_HIDDEN_HEADS and has_unusual_heads(config):
        message = (
            f"head_dim {config['head_dim']} times {heads} heads is not hidden_size {hidden}: "
            f"llama.cpp's {name} has no head size of its own"
        )
        raise JobError("UsageError", message)
    has_output_bias = config.get("attention_bias", False)
    if has_output_bias and architecture != gguf.MODEL_ARCH.LLAMA:
        message = f"attention_bias: llama.cpp's {name} has no bias after attention"
        raise JobError("UsageError", message)
    if not config.get("is_causal", True):
        message = (
            f"is_causal is {config['is_causal']}: llama.cpp's {name} sees only what came before"
        )
        raise JobError("UsageError", message)
    if architecture in GEMMA:
        _check_gemma(config, architecture)


def has_unusual_heads(config: ModelFields) -> bool:
    whole = config["head_dim"] * config["num_attention_heads"]
    return bool(whole != config["hidden_size"])


def _check_activation(config: ModelFields, architecture: gguf.MODEL_ARCH) -> None:
    field = "hidden_act"
    known: tuple[str, ...] = SILU
    if architecture in GEMMA:
        field = "hidden_activation"
        known = TANH_GELU
    given = config[field]
    if given not in known:
        name = gguf.MODEL_ARCH_NAMES[architecture]
        message = f"{field} '{given}': llama.cpp's {name} has no activation but {known[0]}"
        raise JobError("UsageError", message)


def _check_gemma(config: ModelFields, architecture: gguf.MODEL_ARCH) -> None:
    if config["use_bidirectional_attention"]:
        message = "use_bidirectional_attention: llama.cpp's Gemma sees only what came before"
        raise JobError("UsageError", message)
    count = config["num_hidden_layers"]
    layers = config["layer_types"]
    unknown = set(layers) - {"sliding_attention", "full_attention"}
    if len(layers) != count or unknown:
        message = f"layer_types names {len(layers)} layers of {count}, kinds {sorted(set(layers))}"
        raise JobError("UsageError", message, "full_attention and sliding_attention are known")
    if "sliding_attention" in layers and config["sliding_window"] is None:
        message = "sliding_window is null, and layer_types has layers that slide"
        raise JobError("UsageError", message, "correct config.json, or download it again")
    is_gemma3 = architecture == gguf.MODEL_ARCH.GEMMA3
    if is_gemma3 and config["attn_logit_softcapping"] is not None:
        raise JobError("UsageError", "attn_logit_softcapping is not supported for Gemma 3")
    if "sliding_attention" not in layers and not is_gemma3:
        raise JobError("UsageError", "llama.cpp's gemma2 always has layers with a sliding window")


LARGE_LAYERS = {gguf.MODEL_ARCH.GEMMA2: 46, gguf.MODEL_ARCH.GEMMA3: 62}
"""By so many layers llama.cpp knows a 27B, whose queries it scales by another width."""


def query_scale(config: ModelFields, architecture: gguf.MODEL_ARCH) -> float:
    """What queries must be multiplied by, so that llama.cpp's fixed scale becomes the model's."""
    width = config["head_dim"]
    if config["num_hidden_layers"] == LARGE_LAYERS[architecture]:
        width = config["hidden_size"] // config["num_attention_heads"]
    return float((width / config["query_pre_attn_scalar"]) ** 0.5)
