"""What config.json leaves out is what Transformers' own classes have."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import transformers

from llamacpp.architectures import ARCHITECTURES
from llamacpp.defaults import DEFAULTS, complete

CLASSES = {"Gemma3ForCausalLM": "Gemma3TextConfig"}
ANY_SIZE = {"sliding_window": 64, "use_sliding_window": True}


def config_of(architecture: str, **given: Any) -> Any:
    name = architecture.removesuffix("ForCausalLM")
    return getattr(transformers, CLASSES.get(architecture, f"{name}Config"))(**given)


TEXT_CLASSES = sorted(name for name in DEFAULTS if name.endswith("ForCausalLM"))


@pytest.mark.parametrize("architecture", TEXT_CLASSES)
def test_an_empty_config_is_the_class_itself(architecture: str) -> None:
    ours = complete({}, architecture)
    theirs = config_of(architecture)
    for name in DEFAULTS[architecture]:
        if name == "head_dim" and not hasattr(theirs, name):
            continue
        assert ours[name] == getattr(theirs, name), name
    assert theirs.model_type == ARCHITECTURES[architecture].model_type


@pytest.mark.parametrize("architecture", TEXT_CLASSES)
def test_what_follows_from_other_fields_follows_as_there(architecture: str) -> None:
    given = {"num_hidden_layers": 9, "max_window_layers": 5, **ANY_SIZE}
    ours = complete(given, architecture)
    theirs = config_of(architecture, **given)
    for name in ("layer_types", "num_key_value_heads"):
        if name in DEFAULTS[architecture]:
            assert ours[name] == getattr(theirs, name)
