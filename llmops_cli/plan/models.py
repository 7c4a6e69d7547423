"""A model that is named, or lies on this machine, as what it asks of a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.models.config import read_config
from llmops_cli.sizing.cache_rules import cache_bits
from llmops_cli.sizing.format_bits import GGUF, KNOWN, scheme_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.public_models import CONFIGS, config_named, is_named, plain_name
from llmops_cli.sizing.served_models import own_dtype, read_json, served_model

if TYPE_CHECKING:
    from llmops_cli.models.gguf.parts import GgufModel

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

BITS_TOLD = {
    "awq": {4: "AWQ-INT4"},
    "gptq": {4: "GPTQ-INT4", 8: "GPTQ-INT8"},
}
"""Methods whose number of bits the config tells."""


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
    """`source`: a folder, a config.json or a .gguf file or the URL of one, or a public name.

    Raises: UsageError for what cannot be found or read, naming the nearest that is known.
    """
    cache_bits(cache_type)
    wanted = None if scheme is None else scheme_named(scheme)
    if "://" in source:
        return _of_url(source, wanted, cache_type)
    path = Path(source)
    if path.suffix == ".gguf" and path.is_file():
        from llmops_cli.models.gguf.parts import require_model

        return _of_gguf(require_model(path), cache_type)
    if path.is_dir() or (path.suffix == ".json" and path.is_file()):
        config = read_config(path) if path.is_dir() else read_json(path)
        scheme_here = wanted or own_scheme(config)
        return _of_config(config, name=source, scheme=scheme_here, cache_type=cache_type)
    named = split_name(source)
    if path.suffix in {".gguf", ".json"} and not is_named(named.model):
        raise UsageError(f"no file at {source}", hint="or a public model's name, such as phi-4")
    config = dict(config_named(named.model))
    scheme_here = wanted or named.scheme or "BF16"
    return _of_config(config, name=named.model, scheme=scheme_here, cache_type=cache_type)


def _of_url(url: str, scheme: str | None, cache_type: str) -> ServingLoad:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no http(s) URL", hint="https://HOST/PATH/MODEL.gguf")
    from llmops_cli.models.remote_config import is_config_url, read_remote_config

    if is_config_url(url):
        config = read_remote_config(url)
        scheme_there = scheme or own_scheme(config)
        return _of_config(config, name=url, scheme=scheme_there, cache_type=cache_type)
    from llmops_cli.models.gguf.remote import read_remote

    return _of_gguf(read_remote(url), cache_type)


def own_scheme(config: Config) -> str:
    """As `quantization_config` says. Raises: UsageError for a method that is not known."""
    found = config.get("quantization_config")
    if not isinstance(found, dict):
        return "F32" if own_dtype(config) == "F32" else "BF16"
    method = str(found.get("quant_method", ""))
    if method not in METHODS:
        raise UsageError(
            f"quantization method '{method}' is not known here", hint="say its format: --quant"
        )
    if method not in BITS_TOLD:
        return METHODS[method]
    scheme = BITS_TOLD[method].get(found.get("bits", 4))
    if scheme is None:
        raise UsageError(
            f"'{method}' of {found['bits']!r} bits is not known here",
            hint="say its format: --quant",
        )
    return scheme


def _of_config(config: Config, *, name: str, scheme: str, cache_type: str) -> ServingLoad:
    model = served_model(config, name=name, source=name)
    return load_of(model, scheme=scheme, cache_type=cache_type)


def is_gguf_scheme(scheme: str) -> bool:
    return scheme in GGUF or scheme == "F16"


def _of_gguf(model: GgufModel, cache_type: str) -> ServingLoad:
    """Each tensor as the file has it; the format is only what it is called."""
    from llmops_cli.sizing.served_gguf import served_gguf

    scheme = _scheme_of(model)
    return load_of(served_gguf(model), scheme=scheme, is_own=True, cache_type=cache_type)


def _scheme_of(model: GgufModel) -> str:
    """The name for the mean number of bits: which table's type comes nearest."""
    bits = model.bits_per_weight
    types = {**GGUF, "F16": 16.0, "F32": 32.0}
    return min(types, key=lambda name: abs(types[name] - bits))
