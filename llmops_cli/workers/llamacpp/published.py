"""A model's configuration as published files of its architecture have it.

llama.cpp's converter was written for those. What Transformers 5 saves has newer names, and leaves
out what its class computes anyway.
"""

from typing import Any

from _shared.protocol import Json

ROUTED_BY_SIGMOID = (
    "AfmoeForCausalLM",
    "DeepseekV3ForCausalLM",
    "Dots1ForCausalLM",
    "ExaoneMoeForCausalLM",
    "Glm4MoeLiteForCausalLM",
    "MiniMaxM2ForCausalLM",
)
"""By softmax else, if nothing tells llama.cpp, or not at all: it ends the process."""
MODERN_BERTS = (
    "ModernBertModel",
    "ModernBertForMaskedLM",
    "ModernBertForSequenceClassification",
)
OLD_LAYER_TYPES = {"full_attention": "attention", "linear_attention": "mamba"}
HYBRIDS = ("GraniteMoeHybridForCausalLM", "BambaForCausalLM")
"""Whose layers the converter knows by the old names."""
NEMOTRON_H = "NemotronHForCausalLM"
MIXERS = {
    "mamba": "M",
    "linear_attention": "M",
    "attention": "*",
    "full_attention": "*",
    "mlp": "-",
    "moe": "E",
}
"""A layer of Nemotron-H, and its sign in the pattern of its published configurations."""
OF_EXPERTS = ("num_experts_per_tok", "n_routed_experts", "n_group", "topk_group")
"""Which Transformers fills in for a model without experts too."""
SOLAR_OPEN = "SolarOpenForCausalLM"
"""Whose heads turn as a whole, where the converter's class takes half of each for granted."""
BLOOM_CONTEXT = 2048
"""Of every published one; its class has no field for it."""


def add_missing_fields(fields: Json) -> None:
    """Puts them into the configuration, or into its text part; what is told stays."""
    architectures = fields.get("architectures") or [""]
    fields = fields.get("text_config") or fields
    for name, value in _missing(fields, architectures[0]).items():
        if value is not None:
            fields.setdefault(name, value)
    _replace(fields, architectures[0])


def _missing(fields: Json, architecture: str) -> dict[str, Any]:
    """None for what this model has not."""
    rope = fields.get("rope_parameters") or {}
    share = rope.get("partial_rotary_factor") or 1.0
    return {
        "layer_norm_eps": fields.get("norm_eps") if architecture in MODERN_BERTS else None,
        "n_ctx": fields.get("n_positions"),
        "rotary_pct": share,
        "partial_rotary_factor": share if architecture == SOLAR_OPEN else None,
        "rotary_dim": int(_head_dim(fields) * share) or None,
        "scoring_func": "sigmoid" if architecture in ROUTED_BY_SIGMOID else None,
        "route_norm": True if architecture == "AfmoeForCausalLM" else None,
        "seq_length": BLOOM_CONTEXT if architecture == "BloomForCausalLM" else None,
    }


def _replace(fields: Json, architecture: str) -> None:
    if fields.get("multi_query") and not fields.get("new_decoder_architecture"):
        fields["num_kv_heads"] = 1  # Transformers fills in that of Falcon's other kinds
    if architecture in HYBRIDS and "layer_types" in fields:
        fields["layer_types"] = [OLD_LAYER_TYPES.get(each, each) for each in fields["layer_types"]]
    if architecture == SOLAR_OPEN:
        fields["first_k_dense_replace"] = 0  # its class has experts in every layer
    if architecture == NEMOTRON_H and fields.get("layers_block_type"):
        _name_mixers(fields)
    if architecture:
        fields["pad_vocab_size_multiple"] = 1  # Transformers' embeddings have no more rows


def _name_mixers(fields: Json) -> None:
    """The converter knows no layers called mlp, and sees experts wherever their number is told."""
    pattern = "".join(MIXERS[kind] for kind in fields["layers_block_type"])
    fields["hybrid_override_pattern"] = pattern
    if MIXERS["moe"] not in pattern:
        for name in OF_EXPERTS:
            fields.pop(name, None)


def _head_dim(fields: Json) -> int:
    """0 where the configuration does not tell."""
    heads = fields.get("num_attention_heads") or 1
    return int(fields.get("head_dim") or (fields.get("hidden_size") or 0) // heads)
