"""A plan as files that others take: a gateway's, a bench recipe of its load, the figures."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.host import LLAMACPP, card_layers
from llmops_cli.plan.layouts import choose
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import ServePlan
from llmops_cli.plan.served import SIM, reference_of, served_name, served_notes
from llmops_cli.plan.service import loaded_of, service_of
from llmops_cli.plan.setting import Setting
from llmops_cli.runtime.files import write_atomic

UPSTREAM = "planned"
STARTED = frozenset({"llamacpp", "vllm", "transformers", "sim"})
"""Engines that llmops itself starts."""
CACHE_TYPES = {"FP8": "fp8", "Q8_0": "q8_0", "Q4_0": "q4_0"}
SEED_STREAMS = 1
"""A level of one stream beside the planned one: it tells decoding and prompts apart."""
Options = dict[str, int | float | str]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """`notes`: what of the plan no file can say."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def write_values(folder: Path, recipe: PlanRecipe, plan: ServePlan) -> Written:
    """gateway.yaml, bench.yaml and plan.json in `folder`.

    Raises: UsageError for a plan that does not fit, an engine or a layout that nothing here starts,
    or a model that serve would not find.
    """
    setting = choose(recipe).setting
    _check(setting, plan)
    gateway = {
        "upstreams": {UPSTREAM: _upstream(setting)},
        "models": {served_name(setting): {"pool": [UPSTREAM]}},
    }
    files = {
        "gateway.yaml": _yaml(gateway),
        "bench.yaml": _yaml({"bench": _bench(setting)}),
        "plan.json": msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomic(folder / name, content)
    paths = tuple(folder / name for name in files)
    return Written(paths=paths, notes=served_notes(setting))


def _check(setting: Setting, plan: ServePlan) -> None:
    if plan.decode_tps.value is None:
        raise UsageError("what does not fit is not deployed", hint="llmops plan layouts")
    if setting.engine not in STARTED:
        raise UsageError(
            f"llmops starts no {setting.engine}", hint=f"--engine {', '.join(sorted(STARTED))}"
        )
    if setting.place.expert > 1:
        raise UsageError(
            "no engine's options here spread whole experts", hint="--expert-parallel 1"
        )


def _upstream(setting: Setting) -> dict[str, object]:
    """Copies are replicas: each can fail alone, and the gateway spreads requests over them."""
    upstream: dict[str, object] = {"engine": setting.engine, "model": reference_of(setting)}
    if setting.place.data > 1:
        upstream["replicas"] = setting.place.data
    return {**upstream, "options": _options(setting)}


def _options(setting: Setting) -> Options:
    found: Options = {"max_num_seqs": _sequences(setting)}
    if setting.engine == SIM:
        return found
    recipe = setting.recipe
    found["max_model_len"] = recipe.context
    if recipe.kv_type in CACHE_TYPES:
        found["kv_cache_dtype"] = CACHE_TYPES[recipe.kv_type]
    if setting.engine == LLAMACPP and not setting.place.device.is_cpu:
        found["gpu_layers"] = card_layers(recipe, setting.load, setting.place)
    if setting.engine == "vllm":
        found |= _vllm_options(setting)
    return found


def _vllm_options(setting: Setting) -> Options:
    recipe = setting.recipe
    found: Options = {}
    if not setting.place.device.is_cpu:
        found["gpu_memory_utilization"] = recipe.memory_share
    degrees = {
        "tensor_parallel": setting.place.tensor,
        "pipeline_parallel": setting.place.pipeline,
    }
    found |= {name: degree for name, degree in degrees.items() if degree > 1}
    if recipe.cpu_offload_gib is not None:
        found["cpu_offload_gib"] = recipe.cpu_offload_gib
    return found


def _sequences(setting: Setting) -> int:
    """Of one copy: what the load has in its batch, a quarter more under a rate."""
    recipe = setting.recipe
    wanted = float(recipe.concurrency or 1)
    if recipe.rate is not None:
        wanted = loaded_of(setting, service_of(setting)).streams * 1.25
    each = math.ceil(wanted / setting.place.data)
    return max(1, min(each, setting.slots // setting.place.data))


def _bench(setting: Setting) -> dict[str, object]:
    """The planned load, as `llmops bench --recipe` takes it."""
    recipe = setting.recipe
    load: dict[str, object] = {
        "backend": setting.engine,
        "model": reference_of(setting),
        "input_tokens": setting.prompt_tokens,
        "output_tokens": setting.output_tokens,
        "options": {name: str(value) for name, value in _options(setting).items()},
    }
    if recipe.rate is not None:
        return {**load, "rate": [recipe.rate]}
    return {**load, "concurrency": sorted({SEED_STREAMS, recipe.concurrency or 1})}


def _yaml(content: object) -> bytes:
    import yaml

    return yaml.safe_dump(content, sort_keys=False).encode()
