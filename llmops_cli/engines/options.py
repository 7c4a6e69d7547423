"""The options that engines share: one name each, parsed once.

A recipe keeps what was wished for as text (`--set key=value` too); an engine gets EngineOptions.
Which engine takes which, its facts say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Annotated, Literal, cast, get_args

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.core.fields import Flag, Positive, Share, flags_of
from llmops_cli.core.grammar import read_share

GUESSED_TOKENS = 5
"""Tokens that speculation guesses ahead unless told otherwise."""
SWITCH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

SpeculationKind = Literal["ngram", "draft", "medusa", "eagle"]
Dtype = Literal["auto", "float32", "float16", "bfloat16", "int16", "int8"]
INTEGERS = ("int8", "int16")


class Speculation(msgspec.Struct, frozen=True, kw_only=True):
    """Guess `tokens` ahead: from the text so far (ngram), by a model or by heads at `path`."""

    kind: SpeculationKind
    path: str = ""
    tokens: int = GUESSED_TOKENS

    def __str__(self) -> str:
        middle = f":{self.path}" if self.path else ""
        return f"{self.kind}{middle}:{self.tokens}"


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter at `path`, which a request names as its model."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.name}={self.path}"


def read_speculation(text: str) -> Speculation:
    """Raises: ValueError for what is neither ngram[:N] nor KIND:PATH[:N]."""
    kind, _, rest = text.partition(":")
    if kind == "ngram":
        return Speculation(kind="ngram", tokens=int(rest or GUESSED_TOKENS))
    if kind not in ("draft", "medusa", "eagle") or not rest:
        raise ValueError(text)
    known = cast(SpeculationKind, kind)
    path, _, tokens = rest.rpartition(":")
    if path and tokens.isdigit():
        return Speculation(kind=known, path=path, tokens=int(tokens))
    return Speculation(kind=known, path=rest)


def read_loras(text: str) -> tuple[Lora, ...]:
    """Raises: ValueError unless each part is NAME=PATH."""
    found = []
    for part in text.split(","):
        name, _, path = part.partition("=")
        if not name or not path:
            raise ValueError(part)
        found.append(Lora(name=name, path=path))
    return tuple(found)


def read_switch(text: str) -> bool:
    """Raises: ValueError for a word that is neither yes nor no."""
    if text.lower() not in SWITCH:
        raise ValueError(text)
    return SWITCH[text.lower()]


def read_count(text: str) -> int:
    """Raises: ValueError for what is no number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise ValueError(text)
    return int(text)


def read_memory_share(text: str) -> float:
    """Raises: ValueError for what is not over 0 and at most 1."""
    share = read_share(text)
    if not 0 < share <= 1:
        raise ValueError(text)
    return share


def read_gib(text: str) -> float:
    """Raises: ValueError for what is no size over 0."""
    size_gib = float(text)
    if not (size_gib > 0 and isfinite(size_gib)):
        raise ValueError(text)
    return size_gib


def read_word(text: str) -> str:
    """Raises: ValueError for nothing."""
    if not text:
        raise ValueError(text)
    return text


def read_dtype(text: str) -> str:
    """Raises: ValueError for a type that no engine computes in."""
    if text not in get_args(Dtype):
        raise ValueError(text)
    return text


def _count(words: str, example: str) -> Flag:
    return Flag(help=words, example=example, read=read_count)


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """None where nothing was asked for. `own`: what only one engine has, as text."""

    dtype: Annotated[
        Dtype | None,
        Flag(
            help="Arithmetic of the weights.",
            example="auto, float32, float16, bfloat16, int16 or int8",
            read=read_dtype,
        ),
    ] = None
    max_model_len: Annotated[Positive | None, _count("Most tokens of one request.", "4096")] = None
    max_num_seqs: Annotated[
        Positive | None,
        Flag(
            help="Requests computed at once.",
            example="16",
            read=read_count,
            default="most streams",
        ),
    ] = None
    gpu_memory_utilization: Annotated[
        Share | None,
        Flag(help="Share of GPU memory to take.", example="0.9", read=read_memory_share),
    ] = None
    cpu_offload_gib: Annotated[
        float | None,
        Flag(
            help="Weights that stay in main memory, where a GPU computes, in GiB.",
            example="4",
            read=read_gib,
        ),
    ] = None
    tensor_parallel: Annotated[Positive | None, _count("Devices that split each layer.", "2")] = (
        None
    )
    pipeline_parallel: Annotated[
        Positive | None, _count("Devices that split the layers among them.", "2")
    ] = None
    data_parallel: Annotated[
        Positive | None, _count("Copies of the model behind one address.", "2")
    ] = None
    kv_cache_dtype: Annotated[
        str | None, Flag(help="Type of the KV cache.", example="auto, fp8, q8_0", read=read_word)
    ] = None
    prefix_caching: Annotated[
        bool | None,
        Flag(
            help="Reuse the keys and values of shared beginnings.",
            example="true",
            read=read_switch,
            names=("--prefix-caching/--no-prefix-caching",),
        ),
    ] = None
    attention: Annotated[
        str | None,
        Flag(help="Attention kernel.", example="sdpa, eager, flash_attention_2", read=read_word),
    ] = None
    speculative: Annotated[
        Speculation | None,
        Flag(
            help="Guess tokens ahead.",
            example="ngram:5, draft:PATH[:5], medusa:PATH or eagle:PATH",
            read=read_speculation,
        ),
    ] = None
    lora: Annotated[
        tuple[Lora, ...],
        Flag(
            help="Adapters, chosen per request by model name.",
            example="NAME=PATH,NAME=PATH",
            read=read_loras,
            repeat=True,
        ),
    ] = ()
    threads: Annotated[Positive | None, _count("Processor threads.", "8")] = None
    own: dict[str, str] = {}

    def text(self, name: str) -> str | None:
        """An option, common or the engine's own, as an argument; None if it was not asked for."""
        if name not in COMMON:
            return self.own.get(name)
        value = getattr(self, name)
        if value is None or value == ():
            return None
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return ",".join(str(part) for part in value)
        return str(value)

    def arguments(self, flags: Mapping[str, str]) -> list[str]:
        """The engine's flag (option name -> flag) and the value, for each that was asked for."""
        found = []
        for name, flag in flags.items():
            value = self.text(name)
            if value is not None:
                found += [flag, value]
        return found

    def located(self, parts: Mapping[str, str]) -> EngineOptions:
        """With the places of adapters and draft models instead of what the user called them."""
        loras = []
        for lora in self.lora:
            place = parts.get(lora.path, lora.path)
            loras.append(msgspec.structs.replace(lora, path=place))
        guess = self.speculative
        if guess is not None and guess.path:
            place = parts.get(guess.path, guess.path)
            guess = msgspec.structs.replace(guess, path=place)
        return msgspec.structs.replace(self, lora=tuple(loras), speculative=guess)


COMMON: dict[str, Flag] = flags_of(EngineOptions)
"""Option name -> what the command line says of it."""


def read_options(wishes: Mapping[str, str]) -> EngineOptions:
    """Common options in their types; the rest is some engine's own.

    Raises: UsageError for a value that a common option cannot have.
    """
    common: dict[str, object] = {}
    own = {}
    for name, wish in wishes.items():
        flag = COMMON.get(name)
        if flag is None:
            own[name] = wish
            continue
        read = cast(Callable[[str], object], flag.read)
        try:
            common[name] = read(wish.strip())
        except ValueError:
            raise _no_such_value(name, flag, wish) from None
    return msgspec.convert({**common, "own": own}, EngineOptions)


def _no_such_value(
    name: str,
    flag: Flag,
    wish: str,
) -> UsageError:
    said = f"--{name.replace('_', '-')} {wish}"
    hint = f"{flag.help} For example {flag.example}"
    if flag.read is read_dtype:
        hint = nearest_name(wish, get_args(Dtype))
    return UsageError(f"{said}: no such value", hint=hint)
