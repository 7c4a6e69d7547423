"""The options that engines share: one name each, checked once. Which engine has which is in its
`options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from llmops_cli.core.errors import UsageError

GUESSED = 5
"""Tokens that speculation guesses ahead unless told otherwise."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """`check` returns the value as text in its one spelling, or None if it is none."""

    help: str
    example: str
    check: Callable[[str], str | None]


def _count(text: str) -> str | None:
    return text if text.isdigit() and int(text) > 0 else None


def _share(text: str) -> str | None:
    try:
        return text if 0 < float(text) <= 1 else None
    except ValueError:
        return None


def _switch(text: str) -> str | None:
    return {
        "true": "true",
        "1": "true",
        "yes": "true",
        "on": "true",
        "false": "false",
        "0": "false",
        "no": "false",
        "off": "false",
    }.get(text.lower())


def _word(text: str) -> str | None:
    return text or None


def _one_of(*names: str) -> Callable[[str], str | None]:
    return lambda text: text if text in names else None


def _loras(text: str) -> str | None:
    pairs = [part.partition("=") for part in text.split(",")]
    return text if all(name and path for name, _, path in pairs) else None


def _speculative(text: str) -> str | None:
    kind, _, rest = text.partition(":")
    if kind == "ngram":
        return f"ngram:{rest or GUESSED}" if rest.isdigit() or not rest else None
    if kind not in ("draft", "medusa", "eagle") or not rest:
        return None
    path, _, tokens = rest.rpartition(":")
    return text if path and tokens.isdigit() else f"{text}:{GUESSED}"


COMMON = {
    "dtype": Option(
        help="Arithmetic of the weights.",
        example="auto, float32, float16, bfloat16 or int8",
        check=_one_of("auto", "float32", "float16", "bfloat16", "int8"),
    ),
    "max_model_len": Option(help="Most tokens of one request.", example="4096", check=_count),
    "max_num_seqs": Option(help="Requests computed at once.", example="16", check=_count),
    "gpu_memory_utilization": Option(
        help="Share of GPU memory to take.", example="0.9", check=_share
    ),
    "tensor_parallel": Option(help="Devices that split each layer.", example="2", check=_count),
    "pipeline_parallel": Option(
        help="Devices that split the layers among them.", example="2", check=_count
    ),
    "data_parallel": Option(
        help="Copies of the model behind one address.", example="2", check=_count
    ),
    "kv_cache_dtype": Option(help="Type of the KV cache.", example="auto, fp8, q8_0", check=_word),
    "prefix_caching": Option(
        help="Reuse the keys and values of shared beginnings.", example="true", check=_switch
    ),
    "attention": Option(
        help="Attention kernel.", example="sdpa, eager, flash_attention_2", check=_word
    ),
    "speculative": Option(
        help="Guess tokens ahead.",
        example="ngram:5, draft:PATH[:5], medusa:PATH or eagle:PATH",
        check=_speculative,
    ),
    "lora": Option(
        help="Adapters, chosen per request by model name.",
        example="NAME=PATH,NAME=PATH",
        check=_loras,
    ),
    "threads": Option(help="Processor threads.", example="8", check=_count),
}


def normalized(options: Mapping[str, str]) -> dict[str, str]:
    """Checked values in their one spelling; options that are an engine's own pass as they are.

    Raises: UsageError for a value that a common option cannot have.
    """
    found = {}
    for name, value in options.items():
        known = COMMON.get(name)
        checked = known.check(value.strip()) if known else value
        if checked is None:
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} {value}: no such value",
                hint=f"{COMMON[name].help} For example {known.example}" if known else None,
            )
        found[name] = checked
    return found


def loras_of(options: Mapping[str, str]) -> dict[str, str]:
    """Adapter name -> path."""
    pairs = (part.partition("=") for part in options.get("lora", "").split(",") if part)
    return {name: path for name, _, path in pairs}


def speculation_of(options: Mapping[str, str]) -> tuple[str, str, int]:
    """Kind, path (empty for ngram) and most tokens guessed; the kind is empty without
    speculation.
    """
    kind, _, rest = options.get("speculative", "").partition(":")
    path, _, tokens = rest.rpartition(":")
    return kind, path, int(tokens or 0)


def located(options: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """The options with the places of adapters and draft models instead of what the user called
    them.
    """
    found = dict(options)
    if loras := loras_of(options):
        found["lora"] = ",".join(f"{name}={parts.get(path, path)}" for name, path in loras.items())
    kind, path, tokens = speculation_of(options)
    if path:
        found["speculative"] = f"{kind}:{parts.get(path, path)}:{tokens}"
    return found


def is_on(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    return options.get(name, "true" if default else "false") == "true"
