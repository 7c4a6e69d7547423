"""Bench reports as a fit takes them: what ran where, and levels whose figures hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.devices import this_machine
from llmops_cli.plan.models import is_gguf_scheme, read_load
from llmops_cli.runtime.hardware import probe_hardware
from llmops_cli.runtime.runs import load_report
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.gpus import Gpu, gpu_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement

ENGINE_NAMES = {"hf": "transformers", "transformers": "transformers"}
BENCH = "llmops.bench"
MOST_FAILED = 0.1
"""Of a level's requests, where its tokens a second still tell of the engine."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A level of a run: tokens of an answered request, and middle times, which no stall moves.

    `hidden_tokens`: of the output, those that were thought before the first one that was sent.
    `tokens_per_s` has them too.
    """

    streams: int
    prompt_tokens: float
    output_tokens: float
    hidden_tokens: float
    ttft_ms: float
    tpot_ms: float
    tokens_per_s: float


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what it ran on.

    `slots`: requests that the engine has at once; None for a server that somebody else started.
    """

    engine: str
    load: ServingLoad
    place: Placement
    source: str
    slots: int | None
    levels: tuple[Measured, ...]


def read_bench(place: Path, *, model: str | None, gpu: str | None, quant: str | None) -> Bench:
    """Raises: UsageError for a run that is no bench, or of another machine."""
    report: Any = load_report(place)  # Any: each command has its own report
    if not str(report.schema).startswith(BENCH):
        raise UsageError(f"{place} is no bench run", hint="llmops bench makes them")
    recipe = report.manifest.recipe
    backend = str(recipe.get("backend"))
    engine = ENGINE_NAMES.get(backend, backend)
    scheme = quant or _scheme(recipe)
    efficiency_of(engine)
    load = _load(place, model or str(recipe.get("model")), scheme, is_said=model is not None)
    card = gpu_named(gpu) if gpu else _machine(report.manifest.hardware, place)
    return Bench(
        engine=engine,
        load=load,
        place=_place(card, recipe),
        source=str(place),
        slots=_slots(recipe, report.levels),
        levels=tuple(_levels(report.levels)),
    )


def _place(card: Gpu, recipe: dict[str, Any]) -> Placement:  # Any: a saved recipe
    """Over as many cards as the engine's options say."""
    told = _options(recipe)
    return Placement(
        gpu=card,
        tensor=_degree(told, "tensor"),
        pipeline=_degree(told, "pipeline"),
    )


def _slots(recipe: dict[str, Any], levels: Sequence[Any]) -> int | None:  # Any: as saved
    """Of all copies together. What bench starts has one for each stream unless it is told."""
    told = _options(recipe)
    each = _whole(told, "max_num_seqs", "max-num-seqs")
    if each is not None:
        return each * _degree(told, "data")
    if recipe.get("url"):
        return None
    return max((level.concurrency or 1 for level in levels), default=1)


def _options(recipe: dict[str, Any]) -> dict[str, Any]:  # Any: an engine's options
    options = recipe.get("options")
    return options if isinstance(options, dict) else {}


def _degree(options: dict[str, Any], kind: str) -> int:  # Any: an engine's options
    """Under our name and vLLM's; 1 where it is not told."""
    names = (f"{kind}_parallel", f"{kind}_parallel_size", f"{kind}-parallel-size")
    return _whole(options, *names) or 1


def _whole(options: dict[str, Any], *names: str) -> int | None:  # Any: an engine's options
    for name in names:
        told = str(options.get(name, ""))
        if told.isdigit() and int(told) > 0:
            return int(told)
    return None


def _scheme(recipe: dict[str, Any]) -> str | None:  # Any: a saved recipe
    """Of an option that names a format, if one does."""
    named = _options(recipe).get("quantization")
    return str(named) if named and is_gguf_scheme(str(named).upper()) else None


def _load(place: Path, model: str, scheme: str | None, *, is_said: bool) -> ServingLoad:
    """Raises: UsageError for a model that no plan knows, with the flags by which one is said."""
    try:
        return read_load(model, scheme=scheme, cache_type="F16")
    except UsageError as error:
        if is_said:
            raise
        raise UsageError(
            f"{place} is of a model that is not known here: {error.message}",
            hint="--model NAME or FOLDER says which, --quant in which format; llmops plan models",
        ) from error


def _machine(hardware: dict[str, Any], place: Path) -> Gpu:  # Any: as measured
    """The run's card, or this machine. Raises: UsageError for another machine's processor."""
    gpus = hardware.get("gpus")
    if isinstance(gpus, list) and gpus:
        return _card(str(gpus[0].get("name")), place)
    here = probe_hardware()
    for name in ("cpu_model", "cores_logical"):
        if hardware.get(name) != here.get(name):
            raise UsageError(
                f"{place} was measured on another machine: {hardware.get(name)}, "
                f"here {here.get(name)}",
                hint="fit there, or say its card: --gpu",
            )
    return this_machine()


def _card(name: str, place: Path) -> Gpu:
    """Raises: UsageError for one that is not in the table, with the flag by which one is said."""
    try:
        return gpu_named(name)
    except UsageError as error:
        raise UsageError(
            f"{place} is of a card that is not known here: {error.message}",
            hint=f"--gpu says which it is like; {error.hint}",
        ) from error


def _levels(levels: Sequence[Any]) -> Iterator[Measured]:  # Any: bench's levels
    """Closed ones whose figures hold. A request that fails takes time and has no tokens."""
    for level in levels:
        ttft_ms = level.ttft_ms.p50 or level.ttft_ms.mean
        tpot_ms = level.tpot_ms.p50 or level.tpot_ms.mean
        is_whole = level.valid and ttft_ms and tpot_ms
        if level.concurrency is None or not is_whole:
            continue
        if level.errors > MOST_FAILED * level.requests:
            continue
        tokens_per_s = _tokens_per_s(level)
        if not tokens_per_s:
            continue
        answered = level.ttft_ms.count
        yield Measured(
            streams=level.concurrency,
            prompt_tokens=max(1.0, level.input_tokens / answered),
            output_tokens=max(2.0, level.output_tokens / answered),
            hidden_tokens=level.hidden_tokens / answered,
            ttft_ms=ttft_ms,
            tpot_ms=tpot_ms,
            tokens_per_s=tokens_per_s,
        )


def _tokens_per_s(level: Any) -> float:  # Any: bench's level
    """With those that were thought and not sent, which bench counts apart; 0 for no rate."""
    each_tps = level.rates_each.get("output_tokens_per_s")
    sent_tps = median(each_tps) if each_tps else level.output_tokens_per_s
    sent = level.output_tokens - level.hidden_tokens
    if sent <= 0:
        return 0.0
    return float(sent_tps * level.output_tokens / sent)
