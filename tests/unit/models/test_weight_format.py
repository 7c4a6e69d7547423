"""Every library's quantization_config, read alike."""

from __future__ import annotations

import pytest

from llmops_cli.models.weight_format import Config, weight_format


def groups(**group: object) -> Config:
    return {"config_groups": {"group_0": group}}


NVFP4 = {
    "num_bits": 4,
    "type": "float",
    "strategy": "tensor_group",
    "group_size": 16,
    "symmetric": True,
}
MXFP4 = {**NVFP4, "strategy": "group", "group_size": 32}


@pytest.mark.parametrize(
    ("config", "scheme", "bits", "group_size", "symmetric"),
    [
        ({}, None, None, None, None),
        ({"bits": 4, "group_size": 128, "sym": True}, "W4A16", 4, 128, True),
        ({"w_bit": 4, "q_group_size": 64, "zero_point": True}, "W4A16", 4, 64, False),
        ({"bits": 8, "group_size": -1}, "W8A16", 8, None, None),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "NF4", 4, None, None),
        ({"load_in_8bit": True}, "W8A16", 8, None, None),
        (
            groups(
                weights={"num_bits": 8, "type": "float", "symmetric": True},
                input_activations={"num_bits": 8},
            ),
            "FP8A8",
            8,
            None,
            True,
        ),
        (groups(weights={"num_bits": 4, "group_size": 128}), "W4A16", 4, 128, None),
        (groups(weights=NVFP4, input_activations={"num_bits": 4}), "NVFP4", 4, 16, True),
        (groups(weights=MXFP4), "MXFP4A16", 4, 32, True),
        ({"kv_cache_scheme": {"num_bits": 8}}, "KV8", None, None, None),
    ],
)
def test_a_config_says_how_weights_are_kept(
    config: Config,
    scheme: str | None,
    bits: int | None,
    group_size: int | None,
    symmetric: bool | None,
) -> None:
    found = weight_format(config)
    assert (found.scheme, found.bits, found.group_size, found.symmetric) == (
        scheme,
        bits,
        group_size,
        symmetric,
    )


ODD_FIELDS = (
    "bits",
    "group_size",
    "sym",
    "load_in_4bit",
    "bnb_4bit_quant_type",
    "kv_cache_scheme",
    "config_groups",
)
ODD = (None, "x", 5, -1, 2.5, True, [], [1], {}, {"a": 1}, {"weights": "x"}, {"num_bits": "8"})


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("name", ODD_FIELDS)
def test_a_config_of_anything_is_read_as_far_as_it_goes(name: str, odd: object) -> None:
    alone = weight_format({name: odd})
    inside = weight_format(groups(weights={name: odd}, input_activations=odd))
    for found in (alone, inside):
        assert found.bits is None or found.bits > 0
        assert found.group_size is None or found.group_size > 0
        assert found.symmetric in (None, True, False)
