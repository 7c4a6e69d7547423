"""What llama.cpp's converter is told of a configuration, whatever that leaves null."""

from __future__ import annotations

from typing import Any

import pytest

from llamacpp.published import add_missing_fields


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"hidden_size": 64, "num_attention_heads": 4}, 1.0),
        ({"hidden_size": None, "num_attention_heads": None}, 1.0),
        ({"hidden_size": 64, "rope_parameters": {"partial_rotary_factor": None}}, 1.0),
        ({"hidden_size": 64, "rope_parameters": {"partial_rotary_factor": 0.5}}, 0.5),
        ({"hidden_size": 64, "rope_parameters": None, "text_config": None}, 1.0),
    ],
    ids=str,
)
def test_nulls_are_what_is_not_there(given: dict[str, Any], share: float) -> None:
    fields = {"architectures": ["PhiForCausalLM"], **given}
    add_missing_fields(fields)
    assert fields["rotary_pct"] == share
