"""The model that a run trains: from a folder, from a configuration, or the demo's architecture."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from _shared.protocol import JobError
from train.settings import Settings
from train.tokenizer import END, SPECIAL


def make_model(settings: Settings, vocabulary_size: int) -> Any:
    """In f32 on the CPU, the same on every rank: the seed decides what is new in it.

    Raises: JobError for a folder or a configuration that cannot be trained.
    """
    torch.manual_seed(settings.seed)
    if settings.model is not None:
        model = _from_folder(Path(settings.model), settings)
    else:
        model = _from_config(make_config(settings, vocabulary_size), settings)
    model.config.use_cache = False
    model.train()
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
    except (OSError, ValueError, KeyError) as error:
        message = f"{path} is no configuration of a model: {error}"
        raise JobError("UsageError", message, "a config.json, or a folder with one") from error


def _from_config(config: Any, settings: Settings) -> Any:
    make: Any = AutoModelForCausalLM.from_config  # it has no types
    return make(
        config,
        dtype=torch.float32,
        attn_implementation=_attention(settings),
        trust_remote_code=False,
    )


def _from_folder(folder: Path, settings: Settings) -> Any:
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=torch.float32,
            attn_implementation=_attention(settings),
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        message = f"{folder} cannot be loaded as a causal model: {error}"
        raise JobError("UsageError", message) from error


def _attention(settings: Settings) -> str | None:
    return None if settings.attention == "auto" else settings.attention
