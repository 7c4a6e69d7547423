"""The command of an engine in its image: the one that `llmops` runs here, with a pod's paths."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from llmops_cli.core.artifact import Artifact, name_of_path
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.spec import Env
from llmops_cli.deploy.model_place import place_of
from llmops_cli.engines import load_engine, parse_options
from llmops_cli.engines.options import EngineOptions
from llmops_cli.gateway_file.upstream import UpstreamConfig

PYTHON = "/opt/llmops/bin/python"
WORKERS = "/opt/llmops/workers"
PORT = 8000
PARALLEL = 16
"""Requests at once that an engine is told to be ready for where its options do not say."""
IMAGES = ("llamacpp", "vllm", "transformers")
"""Engines that `llmops deploy image` makes an image of."""
OF_OURS = ("llamacpp", "transformers")
"""Those whose server is a worker of ours."""
DRAINS = {
    "llamacpp": "--drain-s",
    "transformers": "--drain-s",
    "vllm": "--shutdown-timeout",
}
"""For how many seconds an engine that is told to end goes on with its answers."""
HOST = "$(POD_IP)"
PORT_FLAG = "--port"


class EngineProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`gauges`: running, queued and kv_cache_use -> the engine's names, as far as it has them."""

    engine: str
    model: str
    model_path: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    gauges: dict[str, str]
    options: EngineOptions


def process_of(name: str, upstream: UpstreamConfig) -> EngineProcess:
    """Raises: UsageError for an engine without an image."""
    engine_name = upstream.engine or ""
    if engine_name not in IMAGES:
        raise UsageError(
            f"upstream {name}: there is no image of engine {engine_name}",
            hint=f"engines with one: {', '.join(IMAGES)}; or give the upstream a url",
        )
    engine = load_engine(engine_name)
    options = parse_options(engine_name, engine, upstream.engine_options())
    reference = upstream.started_model
    path = place_of(reference, wants_gguf=engine.facts.formats == ("gguf",))
    spec = engine.server(
        Artifact(reference=reference, format=engine.facts.formats[0], path=path),
        options=_located(options),
        env=Env(name=engine_name, python=PYTHON, origin="image"),
        port=PORT,
        parallel=PARALLEL,
    )
    return EngineProcess(
        engine=engine_name,
        model=reference,
        model_path=path,
        argv=_in_image(spec.argv) + _drain(engine_name, upstream),
        environment=dict(sorted(spec.env.items())),
        gauges=_gauges(engine.facts.metrics),
        options=options,
    )


def _drain(engine: str, upstream: UpstreamConfig) -> tuple[str, ...]:
    """As long as the longest answer, after which whoever plays the container kills it."""
    return (DRAINS[engine], str(math.ceil(upstream.timeouts.total_s)))


def _located(options: EngineOptions) -> EngineOptions:
    """Adapters and draft models beside the model."""
    parts = {}
    for each in options.lora:
        parts[each.path] = place_of(each.path, wants_gguf=False)
    if options.speculative is not None and options.speculative.path:
        draft = options.speculative.path
        parts[draft] = place_of(draft, wants_gguf=PurePosixPath(draft).suffix == ".gguf")
    return options.located(parts)


def _in_image(argv: tuple[str, ...]) -> tuple[str, ...]:
    """At the pod's own address, where others reach it and its neighbours on the node do not."""
    found = [WORKERS if each == "{workers}" else each for each in argv]
    if "--host" in found:
        found[found.index("--host") + 1] = HOST
    else:
        found += ["--host", HOST]
    return tuple(found)


def at_address(argv: Iterable[str], *, host: str, port: int) -> list[str]:
    """The command elsewhere than in a pod of its own."""
    words = [host if word == HOST else word for word in argv]
    if PORT_FLAG in words:
        words[words.index(PORT_FLAG) + 1] = str(port)
    return words


def to_the_letter(word: str) -> str:
    """A cluster puts variables in the place of `$(NAME)`; only the address is meant so."""
    if word == HOST or not ("$(" in word or "$$" in word):
        return word
    return word.replace("$", "$$")


OURS = {
    "running": "llmops_running",
    "queued": "llmops_waiting",
    "kv_cache_use": "llmops_kv_use",
}


def _gauges(metrics: object) -> dict[str, str]:
    """Of several names, ours where we serve it ourselves."""
    found = {}
    for gauge, ours in OURS.items():
        names = metrics.get(gauge, ()) if isinstance(metrics, dict) else ()
        if ours in names or not metrics:
            found[gauge] = ours
        elif names:
            found[gauge] = names[0]
    return found


# Engines that others make: their public image, given; never run here.


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """`argv`: with {model} and {path}. `health`: what answers once the model is there."""

    argv: tuple[str, ...]
    gauges: dict[str, str]
    health: str = "/health"


FOREIGN = {
    "tgi": Foreign(
        argv=("--model-id", "{path}", "--port", str(PORT), "--hostname", HOST),
        gauges={"running": "tgi_batch_current_size", "queued": "tgi_queue_size"},
    ),
    "sglang": Foreign(
        argv=(
            "python3",
            "-m",
            "sglang.launch_server",
            "--model-path",
            "{path}",
            "--served-model-name",
            "{model}",
            "--host",
            HOST,
            "--port",
            str(PORT),
            "--enable-metrics",
        ),
        gauges={
            "running": "sglang:num_running_reqs",
            "queued": "sglang:num_queue_reqs",
            "kv_cache_use": "sglang:token_usage",
        },
    ),
    "trtllm": Foreign(
        argv=("trtllm-serve", "{path}", "--host", HOST, "--port", str(PORT)),
        gauges={},
    ),
}


def foreign_process(kind: str, model: str) -> EngineProcess:
    """Raises: UsageError for one that we know nothing of."""
    if kind not in FOREIGN:
        raise unknown_name("foreign engine", kind, FOREIGN)
    found = FOREIGN[kind]
    path = place_of(model, wants_gguf=False)
    served = name_of_path(model) or model
    argv = [each.format(path=path, model=served) for each in found.argv]
    return EngineProcess(
        engine=kind,
        model=model,
        model_path=path,
        argv=tuple(argv),
        environment={},
        gauges=found.gauges,
        options=EngineOptions(),
    )
