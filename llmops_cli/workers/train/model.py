"""The model that a run trains: from a folder, from a configuration, or the demo's architecture."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from _shared.protocol import JobError
from train.settings import Settings
from train.tokenizer import END, SPECIAL
from train.weights import initialise

META = torch.device("meta")


def make_model(settings: Settings, vocabulary_size: int, *, on_meta: bool = False) -> Any:
    """In f32 on the CPU, the same on every rank: the seed decides what is new in it.

    on_meta: without memory; a strategy that spreads it fills each rank's part (materialise.py).
    Raises: JobError for a folder or a configuration that cannot be trained.
    """
    if settings.model is not None:
        if not on_meta:
            return folder_model(settings)
        return new_model(_read_config(Path(settings.model)), settings, device=META)
    config = make_config(settings, vocabulary_size)
    model = new_model(config, settings, device=META)
    if not on_meta:
        model.to_empty(device=torch.device("cpu"))
        model.tie_weights()
        initialise(model, settings.seed)
    return model


def make_config(settings: Settings, vocabulary_size: int) -> Any:
    """The configuration of a model that begins from scratch."""
    if settings.init is not None:
        return _read_config(Path(settings.init))
    return LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=0,
        pad_token_id=0,
        eos_token_id=SPECIAL.index(END),
        use_cache=False,
    )


def _read_config(path: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(str(path), trust_remote_code=False)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        message = f"{path} is no configuration of a model: {error}"
        raise JobError("UsageError", message, "a config.json, or a folder with one") from error


def new_model(config: Any, settings: Settings, *, device: torch.device) -> Any:
    make: Any = AutoModelForCausalLM.from_config  # it has no types
    with device:
        model = make(
            config,
            dtype=torch.float32,
            attn_implementation=_attention(settings),
            trust_remote_code=False,
        )
    return _ready(model)


def folder_model(settings: Settings) -> Any:
    """Raises: JobError for a folder that has no causal model."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(settings.model),
            dtype=torch.float32,
            attn_implementation=_attention(settings),
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        message = f"{settings.model} cannot be loaded as a causal model: {error}"
        raise JobError("UsageError", message) from error
    return _ready(model)


def _ready(model: Any) -> Any:
    model.config.use_cache = False
    model.train()
    return model


def _attention(settings: Settings) -> str | None:
    return None if settings.attention == "auto" else settings.attention
