"""One frozen struct per command, resolved once from defaults < file < environment < flags.

The struct holds the defaults and the checks; `resolve` tells where each value came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name

Positive = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
PositiveNumber = Annotated[float, msgspec.Meta(gt=0, le=1e7)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1e5)]
Streams = Annotated[int, msgspec.Meta(ge=1, le=20_000)]


LOADS = ("concurrency", "rate", "ramp", "steps", "burst", "trace")
DEFAULT_CONCURRENCY = (1, 4, 16)


class BenchRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, when, and what counts. One of LOADS makes the levels and the others stay empty;
    with none of them they are DEFAULT_CONCURRENCY. Grammars: bench.lengths (tokens) and
    bench.arrivals (ramp, steps).
    """

    backend: str = "llamacpp"
    model: str = "demo"
    url: str | None = None
    api: Literal["chat", "completions"] = "chat"
    headers: list[str] = []
    body: dict[str, Any] = {}  # Any: fields of the server's own
    api_key_env: str = "LLMOPS_API_KEY"
    proxy: str | None = None
    insecure: bool = False

    concurrency: list[Streams] = []
    rate: list[Rate] = []
    ramp: str | None = None
    steps: list[str] = []
    burst: Positive | None = None
    trace: str | None = None
    time_scale: PositiveNumber = 1.0
    arrival: Literal["poisson", "constant", "gamma"] = "poisson"
    burstiness: PositiveNumber = 1.0
    max_in_flight: Positive | None = None

    requests: Positive | None = None
    duration_s: PositiveNumber | None = None
    warmup: Natural = 4
    repeats: Positive = 1

    dataset: str = "synthetic"
    input_tokens: int | str = 64
    output_tokens: int | str = 64
    shared_prefix_tokens: Natural = 0
    shared_prefix_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    turns: Positive | None = None
    think_time_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    warm_cache: bool = False

    slo: str | None = None
    search: bool = False
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    records: Literal["csv", "parquet"] = "csv"
    allow_invalid: bool = False
    seed: int = 0
    timeout_s: PositiveNumber = 300.0
    options: dict[str, str] = {}


class QuantizeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One method, or a `sweep` of METHOD[:SCHEME][@QUANTIZER]. Options that are null are the
    method's own defaults.

    `imatrix` (gguf) is auto, none or a file. `calibration` is builtin (the model's own
    calibration.jsonl if it has one, else the text that ships with the toolkit), generated (the
    model's own words) or a file of text, JSONL or Parquet. `ignore` names layers to leave alone
    beside lm_head and routers. `eval` names tasks: lm-eval:TASK.
    """

    model: str = "demo"
    method: str = "gguf"
    engine: str | None = None
    scheme: list[str] = []
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    group_size: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    symmetric: bool | None = None
    ignore: list[str] = []
    calibration: str = "builtin"
    samples: Positive | None = None
    seq_len: Positive = 512
    seed: int = 0
    imatrix: str = "auto"
    sweep: list[str] = []
    eval_text: str | None = None
    eval_tokens: Positive = 8192
    eval: list[str] = []
    fit_bytes: Positive | None = None
    quality: bool = True
    verify: bool = True
    max_perplexity_increase: Annotated[float, msgspec.Meta(ge=0)] | None = None
    threads: Positive | None = None


class RedteamRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attacks on a served model. `suite` is quick, full, a plugin's name or a file; `guard` is
    default or a policy file. Prices are money for a million tokens.
    """

    backend: str = "llamacpp"
    model: str = "demo"
    url: str | None = None
    suite: str = "quick"
    families: list[str] = []
    seed: int = 0
    concurrency: Positive = 16
    max_attempts: Positive | None = None
    max_tokens: Positive = 128
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None
    retries: Annotated[int, msgspec.Meta(ge=0)] = 3
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    token_budget: Positive | None = None
    money_budget: Annotated[float, msgspec.Meta(gt=0)] | None = None
    price_in: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    price_out: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    twins: bool = True
    guard: str | None = None
    attacker_url: str | None = None
    attacker_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    api_key_env: str = "LLMOPS_API_KEY"
    options: dict[str, str] = {}


class TrainRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Supervised training of a chat model on one process. `data` is `demo` or a JSONL file of
    messages.
    """

    data: str = "demo"
    steps: Positive = 800
    batch_size: Positive = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.02
    prompt_loss_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    hidden_size: Positive = 256
    intermediate_size: Positive = 512
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    vocab_size: Annotated[int, msgspec.Meta(ge=300)] = 1024
    context: Positive = 1024
    precision: str = "auto"
    seed: int = 0
    threads: Positive | None = None


RecipeT = TypeVar("RecipeT", BenchRecipe, QuantizeRecipe, TrainRecipe, RedteamRecipe)


def resolve(
    kind: type[RecipeT],
    *,
    file: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> tuple[RecipeT, dict[str, str]]:
    """The recipe and, per field, its origin: default, file, env or flag.

    `environ` is read for LLMOPS_<FIELD>; a flag that is None was not given.
    Raises: UsageError naming the field, its origin and a did-you-mean for unknown ones.
    """
    fields = [field.name for field in msgspec.structs.fields(kind)]
    merged: dict[str, object] = {}
    origins = dict.fromkeys(fields, "default")
    for key, value in (file or {}).items():
        if key not in fields:
            raise unknown_name("recipe field", key, fields)
        merged[key], origins[key] = value, "file"
    for name in fields:
        text = (environ or {}).get(f"LLMOPS_{name.upper()}")
        if text is not None:
            merged[name], origins[name] = text, "env"
    for key, value in (flags or {}).items():
        if value is not None:
            merged[key], origins[key] = value, "flag"
    if kind is BenchRecipe:
        _keep_nearest_load(merged, origins)
        _settle_backend(merged, origins)
    prepared = {name: _split(kind, name, value) for name, value in merged.items()}
    for name, value in prepared.items():
        try:
            # Field by field, so that the message can name where the bad value came from;
            # strict=False
            # because the environment and the command line only have strings.
            msgspec.convert({name: value}, kind, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at ")[0].replace("`", "")
            allowed = _choices(kind, name)
            raise UsageError(
                f"{name}={merged[name]!r} ({origins[name]}): {reason}",
                hint=f"known: {', '.join(allowed)}" if allowed else None,
            ) from error
    return msgspec.convert(prepared, kind, strict=False), origins


def _keep_nearest_load(merged: dict[str, object], origins: dict[str, str]) -> None:
    """A load on the command line replaces another kind of load in the environment or the file."""
    for origin in ("flag", "env"):
        if any(origins[name] == origin for name in LOADS):
            for name in LOADS:
                if origins[name] != origin:
                    merged.pop(name, None)
                    origins[name] = "default"
            return


def _settle_backend(merged: dict[str, object], origins: dict[str, str]) -> None:
    """A URL, wherever it comes from, means the server that runs there."""
    url = merged.get("url")
    backend = merged.get("backend", "remote")
    if not url:
        return
    if backend != "remote" and origins["backend"] != "default":
        raise UsageError(
            f"--url is a server that runs; backend '{backend}' would start another",
            hint="give one of them",
        )
    if "backend" not in merged:
        merged["backend"], origins["backend"] = "remote", origins["url"]


def _choices(kind: type[msgspec.Struct], name: str) -> list[str]:
    """The values of a field that has a fixed set of them."""
    hint = get_type_hints(kind)[name]
    return [str(value) for value in get_args(hint)] if get_origin(hint) is Literal else []


def _split(kind: type[RecipeT], name: str, value: object) -> object:
    """Comma-separated text becomes a list where the field is one."""
    default = getattr(kind(), name)
    if isinstance(default, list) and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(default, list) and isinstance(value, int | float):
        return [value]
    if isinstance(default, dict) and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value  # which the field's type refuses
    return value
