"""The model that a run trains: from a folder, from a configuration, or the demo's architecture."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from _shared.protocol import JobError
from train.settings import Settings
from train.tokenizer import END, SPECIAL
from train.watch.memory import is_out_of_memory
from train.weights import initialise

META = torch.device("meta")
A_CONFIG = "a config.json of Transformers, or a folder with one"
MEND = "mend the config.json: what it names must be what Transformers knows"
FETCH = "fetch the model again, or take another folder"


def make_model(settings: Settings, vocabulary_size: int, *, on_meta: bool = False) -> Any:
    """In f32 on the CPU, the same on every rank: the seed decides what is new in it.

    on_meta: without memory; a strategy that spreads it fills each rank's part (materialise.py).
    Raises: JobError for a folder or a configuration that cannot be trained.
    """
    if settings.model is not None and not on_meta:
        return folder_model(settings)
    config = make_config(settings, vocabulary_size)
    model = new_model(config, settings, device=META)
    if not on_meta:
        model.to_empty(device=torch.device("cpu"))
        model.tie_weights()
        initialise(model, settings.seed)
    return model


def make_config(settings: Settings, vocabulary_size: int) -> Any:
    """The configuration as the model is made of it: the folder's, the one that was named, ours."""
    path = settings.model or settings.init
    if path is not None:
        return _read_config(Path(path))
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
    except Exception as error:
        raise refused(f"{path} is no configuration of a model", error, A_CONFIG) from error


def new_model(config: Any, settings: Settings, *, device: torch.device) -> Any:
    """Raises: JobError for a configuration that no model can be made of."""
    make: Any = AutoModelForCausalLM.from_config  # it has no types
    try:
        with device:
            model = make(
                config,
                dtype=torch.float32,
                attn_implementation=_attention(settings),
                trust_remote_code=False,
            )
    except Exception as error:
        place = settings.model or settings.init or "the configuration"
        raise refused(f"no model can be made of {place}", error, MEND) from error
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
    except Exception as error:
        raise refused(
            f"{settings.model} cannot be loaded as a causal model", error, FETCH
        ) from error
    return _ready(model)


def refused(message: str, error: Exception, hint: str) -> Exception:
    """Transformers, torch and safetensors have an exception each for files that are not right.

    Too little memory stays what it is.
    """
    if is_out_of_memory(error):
        return error
    lines = str(error).strip().splitlines() or [""]
    reason = f"{type(error).__name__}: {lines[0]}"
    return JobError("UsageError", f"{message} ({reason})", hint)


def _ready(model: Any) -> Any:
    model.config.use_cache = False
    model.train()
    return model


def _attention(settings: Settings) -> str | None:
    return None if settings.attention == "auto" else settings.attention
