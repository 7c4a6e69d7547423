"""A recipe with everything looked up, so that what is wrong is told before a file is written."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.spec import MODEL_DIGEST
from llmops_cli.core.urls import shown_url
from llmops_cli.deploy.cluster_names import (
    MOST_CHARS,
    MOST_OF_OURS,
    require_host,
    require_image,
    require_label,
    require_resource,
)
from llmops_cli.deploy.ending import Ending, ending_of
from llmops_cli.deploy.engine_names import require_own_names
from llmops_cli.deploy.engine_process import (
    IMAGES,
    OF_OURS,
    EngineProcess,
    foreign_process,
    process_of,
)
from llmops_cli.deploy.evidence import Evidence, read_evidence, refuse_strangers
from llmops_cli.deploy.knob import Knob, value_path
from llmops_cli.deploy.left_here import is_at_this_machine, left_here
from llmops_cli.deploy.model_place import (
    ModelFile,
    ModelVolume,
    digest_of_files,
    files_of,
    read_volume,
)
from llmops_cli.deploy.monitoring.recording import LAST_BOUND_S
from llmops_cli.deploy.nightly.night import Night, nights_of
from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.resources import Resources, resources_of
from llmops_cli.deploy.secrets import SecretNeeds, needs_of, refuse_in_text, refuse_written
from llmops_cli.deploy.source import Source, read_source
from llmops_cli.gateway_file.combinations import pools_of
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import PoolMember
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.gateway_file.url import bad_url
from llmops_cli.runtime import log_lines
from llmops_cli.runtime.recipes import gateway_path

REDIS_IMAGE = "docker.io/library/redis:7.2.7-bookworm"
IN_CLUSTERS = ("k8s", "kserve")
DEV = "-dev"
"""Behind the namespace of the overlay for trials."""
DRAIN_SPARE_S = 30
"""What a pod may take beyond its longest answer: balancers hear of its end, logs are written."""
MOST_GROWTH = 4


class EngineSetting(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream that becomes pods. `label`: its name in the cluster. `requests`: see Evidence.

    `nodes`: machines of one replica. `is_foreign`: nobody has run this image here.
    """

    label: str
    upstream: str
    image: Knob
    process: EngineProcess
    replicas: int
    max_replicas: int
    resources: Resources
    requests: Knob | None
    nodes: int
    grace_s: int
    files: tuple[ModelFile, ...]
    is_foreign: bool


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """`outside`: upstreams that run elsewhere. `wait_s`: how patient a proxy before it must be."""

    recipe: RenderRecipe
    source: Source
    secrets: SecretNeeds
    engines: tuple[EngineSetting, ...]
    outside: tuple[str, ...]
    gateway_image: Knob
    redis_image: Knob | None
    volume: ModelVolume
    replicas: int
    max_replicas: int
    wait_s: int
    ending: Ending
    nights: tuple[Night, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def config(self) -> GatewayConfig:
        return self.source.config

    @property
    def log_form(self) -> dict[str, str]:
        """Variables of processes of ours."""
        return _log_form(self.recipe)

    def label(self, part: str) -> str:
        """What a part of this deployment is called."""
        return f"{self.recipe.name}-{part}"


def settle(recipe: RenderRecipe) -> Setting:
    """Raises: UsageError."""
    if recipe.config is None:
        raise UsageError("which gateway?", hint="llmops deploy render gateway.yaml -o DIR")
    _check_names(recipe)
    _check_slo(recipe)
    source = read_source(gateway_path(Path(recipe.config)))
    refuse_written(source.path, source.written)
    for path, text in source.texts():
        refuse_in_text(path, text)
    _check_keys(recipe, source)
    volume = _volume(recipe)
    rendered = _rendered(recipe, source)
    refuse_strangers(recipe.bench, list(rendered))
    refuse_strangers(recipe.plan, list(rendered))
    _check_images(recipe, rendered)
    engines = []
    for name, process in rendered.items():
        engines.append(_engine(recipe, source, name, process, volume))
    require_own_names({each.upstream: each.nodes for each in engines})
    return Setting(
        recipe=recipe,
        source=source,
        secrets=needs_of(source.written, *_keys_of_detectors(source)),
        engines=tuple(engines),
        outside=tuple(name for name in source.config.upstreams if name not in rendered),
        gateway_image=_image(
            recipe,
            "gateway",
            f"{recipe.registry}/llmops-gateway:{__version__}",
            path="gateway.image",
        ),
        redis_image=_redis_image(recipe) if _has_redis(recipe, source.config) else None,
        volume=volume,
        replicas=recipe.replicas,
        max_replicas=_most(recipe, recipe.replicas, "--max-replicas"),
        wait_s=_grace_s(source.config.upstreams.values()),
        ending=ending_of(source.config, source.written),
        nights=nights_of(recipe.nightly, source.config),
        notes=_notes(recipe, source, engines),
    )


def _keys_of_detectors(source: Source) -> list[str]:
    return [each.key_env for each in source.detectors if each.key_env is not None]


def _check_names(recipe: RenderRecipe) -> None:
    require_label(recipe.name, what="--name", most=MOST_OF_OURS - 12)
    require_label(recipe.namespace, what="--namespace", most=MOST_CHARS - len(DEV))
    require_host(recipe.host, what="--host")
    require_resource(recipe.gpu_resource, what="--gpu-resource")
    if bad_url(recipe.prometheus) is not None:
        shown = shown_url(recipe.prometheus)
        raise UsageError(
            f"--prometheus '{shown}' is no address that stands in a manifest",
            hint="http://prometheus.monitoring.svc:9090",
        )
    require_image(f"{recipe.registry}/llmops-gateway:1", what="--registry")
    for name, image in recipe.images.items():
        require_image(image, what=f"--image {name}=")


def _check_slo(recipe: RenderRecipe) -> None:
    """Raises: UsageError for a limit that no figure of the gateway's can pass."""
    if recipe.slo_errors >= 100:
        raise UsageError(f"--slo-errors {recipe.slo_errors:g}: then nothing is ever wrong")
    limits = {"ttft": recipe.slo_ttft_s, "tpot": recipe.slo_tpot_s, "request": recipe.slo_e2e_s}
    flags = {"ttft": "--slo-ttft-s", "tpot": "--slo-tpot-s", "request": "--slo-e2e-s"}
    for histogram, limit_s in limits.items():
        last_s = LAST_BOUND_S[histogram]
        if limit_s >= last_s:
            raise UsageError(
                f"{flags[histogram]} {limit_s:g}: the gateway's histogram ends at {last_s:g} s, so "
                "nobody would be told",
                hint=f"less than {last_s:g}",
            )


def _volume(recipe: RenderRecipe) -> ModelVolume:
    """Raises: UsageError."""
    volume = read_volume(recipe.models)
    if volume.url is not None and recipe.target not in IN_CLUSTERS:
        raise UsageError(
            f"--models {recipe.models}: only pods of a cluster download their model",
            hint="host:/FOLDER with the models on that machine",
        )
    return volume


def _check_keys(recipe: RenderRecipe, source: Source) -> None:
    if recipe.target != "systemd" and not source.config.keys_required:
        raise UsageError(
            f"{source.path}: keys_required: false answers on 127.0.0.1 only, where no pod's "
            "neighbour reaches it",
            hint="leave it out, and put keys into the Secret: docs/DEPLOY.md",
        )


def _check_images(recipe: RenderRecipe, rendered: dict[str, EngineProcess]) -> None:
    known = ["gateway", "redis", *IMAGES, *rendered]
    for name in recipe.images:
        if name not in known:
            raise unknown_name("image of", name, known)
    for name in recipe.foreign:
        if name not in recipe.images:
            raise UsageError(
                f"--foreign {name}={recipe.foreign[name]} needs its image",
                hint=f"--image {name}=docker.io/OWNER/NAME:TAG",
            )


def _rendered(recipe: RenderRecipe, source: Source) -> dict[str, EngineProcess]:
    """Upstream -> what runs in its pods."""
    upstreams = source.config.upstreams
    found = {}
    for name, upstream in upstreams.items():
        if upstream.engine is not None:
            found[name] = process_of(name, upstream)
    for name, kind in recipe.foreign.items():
        if name not in upstreams:
            raise unknown_name("upstream", name, upstreams)
        if name in found:
            raise UsageError(f"upstream {name} has an engine of ours", hint="leave --foreign out")
        found[name] = foreign_process(kind, _model_at(name, source.config))
    for name in found:
        require_label(name, what="the upstream", most=MOST_OF_OURS - len(recipe.name) - 1)
    return found


def _model_at(upstream: str, config: GatewayConfig) -> str:
    """What an upstream calls the model that it is asked for. Raises: UsageError."""
    for alias, model in config.models.items():
        for pool in pools_of(model).values():
            for member in pool:
                if isinstance(member, PoolMember) and member.upstream == upstream:
                    return member.model or alias
                if member == upstream:
                    return alias
    raise UsageError(f"no model has the upstream {upstream} in its pool")


def _engine(
    recipe: RenderRecipe,
    source: Source,
    name: str,
    process: EngineProcess,
    volume: ModelVolume,
) -> EngineSetting:
    upstream = source.config.upstreams[name]
    evidence = read_evidence(name, bench=recipe.bench, plan=recipe.plan)
    resources = resources_of(
        process.engine,
        process.model,
        process.options,
        planned_bytes=evidence.memory_bytes,
        measured_load_s=evidence.load_s,
    )
    is_foreign = name in recipe.foreign
    default = f"{recipe.registry}/llmops-{process.engine}:{__version__}"
    files: tuple[ModelFile, ...] = ()
    if volume.url is not None:
        files = files_of(process.model, upstream=name)
    process = _told(recipe, process, files)
    return EngineSetting(
        label=f"{recipe.name}-{name}",
        upstream=name,
        image=_image(
            recipe,
            name,
            recipe.images.get(process.engine, default),
            path=value_path(name, "image"),
        ),
        process=process,
        replicas=upstream.replicas,
        max_replicas=_most(recipe, upstream.replicas, f"upstream {name}'s replicas"),
        resources=resources,
        requests=_carried(recipe, name, upstream, process, evidence),
        nodes=max(1, math.ceil(resources.cards / recipe.gpus_per_node)),
        grace_s=_grace_s([upstream]),
        files=files,
        is_foreign=is_foreign,
    )


def _told(
    recipe: RenderRecipe,
    process: EngineProcess,
    files: tuple[ModelFile, ...],
) -> EngineProcess:
    """What a server of ours is told by variables: its model's digest, and how it logs."""
    if process.engine not in OF_OURS:
        return process
    told = process.environment | _log_form(recipe)
    if files:
        told[MODEL_DIGEST] = digest_of_files(files)
    return msgspec.structs.replace(process, environment=told)


def _log_form(recipe: RenderRecipe) -> dict[str, str]:
    if recipe.log_format == log_lines.TEXT:
        return {}
    return {log_lines.VARIABLE: recipe.log_format}


def _carried(
    recipe: RenderRecipe,
    name: str,
    upstream: UpstreamConfig,
    process: EngineProcess,
    evidence: Evidence,
) -> Knob | None:
    """Requests at once of a replica where another one is asked for. Raises: UsageError."""
    if evidence.requests is not None:
        return evidence.requests
    if upstream.max_in_flight is not None:
        each = max(1, upstream.max_in_flight // upstream.replicas)
        return Knob(each, f"max_in_flight of upstream {name}, for each of its replicas")
    if process.options.max_num_seqs is not None:
        return Knob(process.options.max_num_seqs, f"max_num_seqs of upstream {name}")
    if recipe.max_replicas is not None and recipe.max_replicas > upstream.replicas:
        raise UsageError(
            f"nothing says what a replica of upstream {name} carries, so it cannot be scaled",
            hint=f"--bench {name}=RESULTS, --plan {name}=plan.json, or max_in_flight in the file",
        )
    return None


def _image(
    recipe: RenderRecipe,
    name: str,
    default: str,
    *,
    path: str,
) -> Knob:
    return Knob(recipe.images.get(name, default), path=path)


def _redis_image(recipe: RenderRecipe) -> Knob:
    return _image(recipe, "redis", REDIS_IMAGE, path="redis.image")


def _most(recipe: RenderRecipe, least: int, what: str) -> int:
    if recipe.max_replicas is None:
        return least * MOST_GROWTH
    if recipe.max_replicas < least:
        raise UsageError(f"--max-replicas {recipe.max_replicas} is below {least}, {what} at least")
    return recipe.max_replicas


def _grace_s(upstreams: object) -> int:
    longest_s = 0.0
    for each in upstreams:  # type: ignore[attr-defined]
        longest_s = max(longest_s, each.timeouts.total_s)
    return math.ceil(longest_s) + DRAIN_SPARE_S


def _has_redis(recipe: RenderRecipe, config: GatewayConfig) -> bool:
    """Whether one is rendered: where the file's would be on the gateway's own machine."""
    if config.redis is None:
        return recipe.replicas > 1 and recipe.target in IN_CLUSTERS
    return is_at_this_machine(config.redis.url)


def _notes(recipe: RenderRecipe, source: Source, engines: list[EngineSetting]) -> tuple[str, ...]:
    notes = [*source.warnings, *left_here(recipe, source)]
    if source.config.redis is None and _has_redis(recipe, source.config):
        notes.append(
            f"{recipe.replicas} gateways share limits and budgets: a Redis is rendered for them"
        )
    if recipe.nightly and recipe.target not in IN_CLUSTERS:
        notes.append(f"jobs by night are in ci/ alone: {recipe.target} has nobody to start them")
    for each in engines:
        if each.requests is None:
            notes.append(
                f"upstream {each.upstream} is not scaled: nothing says what a replica carries "
                f"(--bench {each.upstream}=RESULTS)"
            )
        if each.resources.memory_mib is None:
            notes.append(
                f"upstream {each.upstream} asks for no memory: its model is not here to be sized "
                f"(--plan {each.upstream}=plan.json)"
            )
        if each.is_foreign:
            notes.append(f"upstream {each.upstream}: image {each.image.value} is untested")
    return tuple(notes)
