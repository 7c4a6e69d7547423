"""A model that is named, or lies on this machine, as what it asks of a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.urls import shown_url
from llmops_cli.models.config import read_config
from llmops_cli.models.gguf.type_names import file_type_name
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import end_of
from llmops_cli.sizing.cache_rules import cache_bits
from llmops_cli.sizing.format_bits import GGUF, KNOWN, RARE_GGUF, scheme_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.own_format import own_format
from llmops_cli.sizing.public_models import CONFIGS, config_named, is_named, plain_name
from llmops_cli.sizing.served_models import read_json, served_model

if TYPE_CHECKING:
    from llmops_cli.models.gguf.parts import GgufModel

Config = dict[str, Any]  # Any: each architecture has fields of its own
_GGUF_NAME = re.compile(r"^(?P<model>.+?)[-. ](?P<scheme>[A-Za-z0-9_]+)$")


PLACES = ("./", "../", "/", "~")
"""How a path begins that can be no name."""
IN_FILES = {"MXFP4": "MXFP4_MOE"}
"""What a file's name calls a mixture of llama.cpp that folders have as well."""


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
        scheme = found["scheme"].upper()
        is_file = text.strip().endswith(".gguf")
        return Named(
            model=found["model"], scheme=IN_FILES.get(scheme, scheme) if is_file else scheme
        )
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
        name = end_of(source) if path.is_dir() else source
        return _of_config(config, name=name, scheme=wanted, cache_type=cache_type, source=source)
    named = split_name(source)
    if path.suffix in {".gguf", ".json"} and not is_named(named.model):
        hint = near_path(path, "or a public model's name, such as phi-4")
        raise UsageError(f"no file at {source}", hint=hint)
    if source.startswith(PLACES):
        hint = "a folder with a config.json, a .gguf file, or a public model's name, such as phi-4"
        raise UsageError(f"no model at {source}", hint=near_path(path, hint))
    config = dict(config_named(named.model))
    scheme_here = wanted or named.scheme or "BF16"
    return _of_config(config, name=named.model, scheme=scheme_here, cache_type=cache_type)


def _of_url(url: str, scheme: str | None, cache_type: str) -> ServingLoad:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{shown_url(url)} is no http(s) URL", hint="https://HOST/PATH/MODEL.gguf")
    from llmops_cli.models.remote_config import is_config_url, read_remote_config

    if is_config_url(url):
        config = read_remote_config(url)
        return _of_config(config, name=url, scheme=scheme, cache_type=cache_type)
    from llmops_cli.models.gguf.remote import read_remote

    return _of_gguf(read_remote(url), cache_type)


def _of_config(
    config: Config,
    *,
    name: str,
    scheme: str | None,
    cache_type: str,
    source: str | None = None,
) -> ServingLoad:
    """`scheme`: None for what the config says of its weights. `source`: in place of the name."""
    model = served_model(config, name=name, source=source or name)
    if scheme is not None:
        return load_of(model, scheme=scheme, cache_type=cache_type)
    own = own_format(config)
    return load_of(model, scheme=own.scheme, own=own, cache_type=cache_type)


def is_gguf_scheme(scheme: str) -> bool:
    return scheme in GGUF or scheme in RARE_GGUF or scheme == "F16"


def _of_gguf(model: GgufModel, cache_type: str) -> ServingLoad:
    """Each tensor as the file has it; the format is only what it is called."""
    from llmops_cli.sizing.served_gguf import served_gguf

    scheme = _scheme_of(model)
    return load_of(served_gguf(model), scheme=scheme, is_own=True, cache_type=cache_type)


def _scheme_of(model: GgufModel) -> str:
    """As the file says, else the name whose mean number of bits comes nearest."""
    told = file_type_name(model.header.number("general.file_type"))
    if told in KNOWN:
        return str(told)
    bits = model.bits_per_weight
    types = {**GGUF, "F16": 16.0, "F32": 32.0}
    return min(types, key=lambda name: abs(types[name] - bits))
