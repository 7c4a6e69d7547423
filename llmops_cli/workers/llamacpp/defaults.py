"""What Transformers takes for a field that config.json leaves out, by model class.

A test compares these with the classes themselves (transformers 5.23).
"""

from typing import Any

# config.json's fields as they are.
ModelFields = dict[str, Any]

LLAMA: ModelFields = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}
MISTRAL: ModelFields = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "sliding_window": 4096,
}
QWEN2: ModelFields = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 22016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}
QWEN3: ModelFields = {
    **QWEN2,
    "head_dim": 128,
    "attention_bias": False,
}
PHI3: ModelFields = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "sliding_window": None,
}
GEMMA2: ModelFields = {
    "vocab_size": 256000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "layer_types": None,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
    "use_bidirectional_attention": None,
}
GEMMA3: ModelFields = {
    **GEMMA2,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
    "use_bidirectional_attention": False,
}
DEFAULTS = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": MISTRAL,
    "Qwen2ForCausalLM": QWEN2,
    "Qwen3ForCausalLM": QWEN3,
    "Phi3ForCausalLM": PHI3,
    "Gemma2ForCausalLM": GEMMA2,
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma3ForConditionalGeneration": GEMMA3,
}


READ_BY_ALL = frozenset({"head_dim", "original_max_position_embeddings"})
"""Where a config.json has them, whatever the class."""
OF_CLASSES = frozenset(name for fields in DEFAULTS.values() for name in fields) - READ_BY_ALL
FULL_EVERY = {
    "Gemma2ForCausalLM": 2,
    "Gemma3ForCausalLM": 6,
    "Gemma3ForConditionalGeneration": 6,
}
"""Of so many layers the last sees the whole context, where config.json says nothing."""


def complete(given: ModelFields, architecture: str) -> ModelFields:
    """The fields as Transformers has them after reading: defaults, and what follows from others.

    What other classes read and this one does not is left out.
    """
    foreign = OF_CLASSES.difference(DEFAULTS[architecture])
    known = {name: value for name, value in given.items() if name not in foreign}
    fields = {**DEFAULTS[architecture], **known}
    heads = fields["num_attention_heads"]
    if fields["num_key_value_heads"] is None:
        fields["num_key_value_heads"] = heads
    if fields.get("head_dim") is None:
        fields["head_dim"] = fields["hidden_size"] // heads
    if "use_sliding_window" in fields and not fields["use_sliding_window"]:
        fields["sliding_window"] = None
    if "layer_types" in fields and fields["layer_types"] is None:
        fields["layer_types"] = _layer_types(fields, architecture)
    return fields


def _layer_types(fields: ModelFields, architecture: str) -> list[str]:
    count = fields["num_hidden_layers"]
    if architecture in FULL_EVERY:
        every = FULL_EVERY[architecture]
        if architecture != "Gemma2ForCausalLM":
            every = fields.get("sliding_window_pattern", every)
        slides = [number % every != 0 for number in range(1, count + 1)]
    else:
        has_window = fields["sliding_window"] is not None
        first = fields["max_window_layers"]
        slides = [has_window and number >= first for number in range(count)]
    return ["sliding_attention" if each else "full_attention" for each in slides]
