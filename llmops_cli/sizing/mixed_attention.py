"""What several of the families of mixed_families.py read alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.sizing.architecture import Attention
from llmops_cli.sizing.config_values import head_size, is_set, require_multiple, size_in

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
RECURRENT = frozenset({"mamba", "linear_attention"})


def mixed_attention(config: Config) -> Attention:
    heads = size_in(config, "num_attention_heads")
    kv_heads = size_in(config, "num_key_value_heads", heads)
    require_multiple("num_attention_heads", heads, "num_key_value_heads", kv_heads)
    head_dim = head_size(config, heads)
    has_bias = is_set(config, "attention_bias")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=head_dim,
        query_bias=has_bias,
        output_bias=has_bias,
    )
