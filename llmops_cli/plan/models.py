"""A model that is named, or lies on this machine, as what it asks of a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.models.config import read_config
from llmops_cli.models.gguf.parts import GgufModel, require_model
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.format_bits import GGUF, KNOWN, cache_bits, scheme_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.public_models import CONFIGS, config_named, is_named, plain_name

Config = dict[str, Any]  # Any: each architecture has fields of its own
_GGUF_NAME = re.compile(r"^(?P<model>.+?)[-. ](?P<scheme>[A-Za-z0-9_]+)$")
METHODS = {
    "fp8": "FP8",
    "awq": "AWQ-INT4",
    "gptq": "GPTQ-INT4",
    "mxfp4": "MXFP4",
    "bitsandbytes": "NF4",
    "compressed-tensors": "W8A8",
}
"""`quantization_config.quant_method` -> our format, where its number of bits is the usual one."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A model's name and format as one text says them: `phi-4-Q4_K_M.gguf`."""

    model: str
    scheme: str | None = None


def split_name(text: str) -> Named:
    """The format at the end of a file's name, or after a space, if there is one."""
    plain = text.strip().removesuffix(".gguf")
    plain = re.sub(r"\s*\(.*", "", plain)
    if plain_name(plain) in CONFIGS:
        return Named(model=plain)
    found = _GGUF_NAME.match(plain)
    if found and found["scheme"].upper() in KNOWN:
        return Named(model=found["model"], scheme=found["scheme"].upper())
    return Named(model=plain)


def read_load(source: str, *, scheme: str | None, cache_type: str) -> ServingLoad:
    """`source`: a folder, a config.json, a .gguf file, or a public name.

    Raises: UsageError for what cannot be found or read, naming the nearest that is known.
    """
    bits = cache_bits(cache_type)
    wanted = None if scheme is None else scheme_named(scheme)
    if "://" in source:
        raise UsageError(
            f"{source} is a URL, which plans do not read",
            hint="download its config.json, or give the model's public name",
        )
    path = Path(source)
    if path.suffix == ".gguf" and path.is_file():
        return _of_gguf(require_model(path), bits)
    if path.is_dir() or path.name == "config.json":
        config = read_config(path if path.is_dir() else path.parent)
        return _of_config(config, name=source, scheme=wanted or own_scheme(config), bits=bits)
    named = split_name(source)
    if path.suffix == ".gguf" and not is_named(named.model):
        raise UsageError(f"no file at {source}", hint="or a public model's name, such as phi-4")
    config = dict(config_named(named.model))
    scheme_here = wanted or named.scheme or "BF16"
    return _of_config(config, name=named.model, scheme=scheme_here, bits=bits)


def own_scheme(config: Config) -> str:
    """As `quantization_config` says. Raises: UsageError for a method that is not known."""
    found = config.get("quantization_config")
    if not isinstance(found, dict):
        return "F32" if config.get("torch_dtype") == "float32" else "BF16"
    method = str(found.get("quant_method", ""))
    if method not in METHODS:
        raise UsageError(
            f"quantization method '{method}' is not known here", hint="say its format: --quant"
        )
    scheme = METHODS[method]
    if method == "gptq" and found.get("bits") == 8:
        return "GPTQ-INT8"
    return scheme


def _of_config(config: Config, *, name: str, scheme: str, bits: float) -> ServingLoad:
    architecture = architecture_of(config)
    return load_of(architecture, name=name, scheme=scheme, cache_bits=bits)


def is_gguf_scheme(scheme: str) -> bool:
    return scheme in GGUF or scheme == "F16"


def _of_gguf(model: GgufModel, bits: float) -> ServingLoad:
    """Sizes as its tensors are, everything else as its keys say."""
    config = _config_of(model)
    scheme = _scheme_of(model)
    load = load_of(architecture_of(config), name=model.stem, scheme=scheme, cache_bits=bits)
    factor = sum(each.size_bytes for each in model.tensors) / load.weights_bytes
    return msgspec.structs.replace(
        load,
        parameters=float(model.values),
        dense_bytes=load.dense_bytes * factor,
        expert_bytes=load.expert_bytes * factor,
        rest_bytes=load.rest_bytes * factor,
    )


def _scheme_of(model: GgufModel) -> str:
    """The name for the mean number of bits: which table's type comes nearest."""
    bits = model.bits_per_weight
    types = {**GGUF, "F16": 16.0, "F32": 32.0}
    return min(types, key=lambda name: abs(types[name] - bits))


def _config_of(model: GgufModel) -> Config:
    """The keys of a llama-like file under a config's names.

    Raises: UsageError for one that lacks a size.
    """
    prefix = model.architecture or ""
    keys = {
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "sliding_window": "attention.sliding_window",
        "num_experts": "expert_count",
        "num_experts_per_tok": "expert_used_count",
        "moe_intermediate_size": "expert_feed_forward_length",
        "max_position_embeddings": "context_length",
    }
    config: Config = {"model_type": _family(prefix)}
    for name, key in keys.items():
        value = model.header.number(f"{prefix}.{key}")
        if value:
            config[name] = value
    names = {tensor.name: tensor for tensor in model.tensors}
    table = names.get("token_embd.weight")
    if table is None:
        raise UsageError(
            f"{model.path} has no token embeddings", hint="a language model's .gguf file"
        )
    config["vocab_size"] = table.shape[-1]
    config["tie_word_embeddings"] = "output.weight" not in names
    return config


def _family(prefix: str) -> str:
    """llama.cpp's name of an architecture as Transformers has it."""
    same = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gemma3": "gemma3_text"}
    return same.get(prefix, prefix)
