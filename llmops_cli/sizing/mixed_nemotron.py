"""config.json of Nemotron-H: one part in each layer -> layers, as Transformers builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.architecture import FeedForward
from llmops_cli.sizing.config_values import HINT, is_set, layers_in, names_in, size_in
from llmops_cli.sizing.mixed import MixedBlock, UngatedExperts
from llmops_cli.sizing.mixed_attention import RECURRENT, mixed_attention
from llmops_cli.sizing.mixers import Mamba2

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
PATTERN = {
    "M": "linear_attention",
    "E": "moe",
    "*": "full_attention",
    "-": "mlp",
}
"""The signs of `hybrid_override_pattern`."""


def nemotron_blocks(config: Config) -> list[MixedBlock]:
    """One part in each layer: a state space, attention, a network or experts."""
    return [_nemotron_block(config, kind) for kind in _nemotron_kinds(config)]


def _nemotron_kinds(config: Config) -> list[str]:
    pattern = config.get("hybrid_override_pattern")
    if pattern is None:
        count = layers_in(config)
        kinds = names_in(config, "layers_block_type", count)
        kinds = kinds or names_in(config, "layer_types", count)
        if kinds is None:
            raise UsageError("the model's config has no 'hybrid_override_pattern'", hint=HINT)
        return kinds
    if not isinstance(pattern, str) or not pattern or set(pattern) - set(PATTERN):
        raise UsageError(
            "the model's config has no usable 'hybrid_override_pattern'",
            hint=f"a text of the signs {' '.join(PATTERN)}",
        )
    return [PATTERN[sign] for sign in pattern]


def _nemotron_block(config: Config, kind: str) -> MixedBlock:
    norms = ("norm",)
    if kind in RECURRENT:
        return MixedBlock(norms=norms, mixer=_nemotron_mixer(config))
    if kind in {"attention", "full_attention"}:
        return MixedBlock(
            norms=norms, attention=mixed_attention({**config, "attention_bias": False})
        )
    if kind == "moe":
        return MixedBlock(norms=norms, network=_nemotron_experts(config))
    width = size_in(config, "intermediate_size")
    network = FeedForward(width=width, is_gated=False, has_bias=is_set(config, "mlp_bias"))
    return MixedBlock(norms=norms, network=network)


def _nemotron_mixer(config: Config) -> Mamba2:
    heads = size_in(config, "mamba_num_heads")
    bias = is_set(config, "use_bias")
    return Mamba2(
        inner=heads * size_in(config, "mamba_head_dim"),
        heads=heads,
        state=size_in(config, "ssm_state_size"),
        groups=size_in(config, "n_groups", 8),
        kernel=size_in(config, "conv_kernel", 4),
        conv_bias=is_set(config, "use_conv_bias", default=True),
        bias=bias,
        output_bias=bias,
    )


def _nemotron_experts(config: Config) -> UngatedExperts:
    return UngatedExperts(
        count=size_in(config, "n_routed_experts"),
        active=size_in(config, "num_experts_per_tok"),
        width=size_in(config, "moe_intermediate_size"),
        shared_width=size_in(config, "moe_shared_expert_intermediate_size"),
        inputs=size_in(config, "moe_latent_size", size_in(config, "hidden_size")),
    )
