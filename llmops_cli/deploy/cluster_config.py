"""gateway.yaml as the gateway of a cluster has it: engines are other pods, files are mounted."""

from __future__ import annotations

import copy

from llmops_cli.deploy.engine_process import PORT
from llmops_cli.deploy.knob import Manifest, Plain
from llmops_cli.deploy.prompt_files import FOLDER as PROMPTS
from llmops_cli.deploy.secrets import FOLDER, in_cluster, secret_key
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.gateway_file.machine import DEFAULT_POLICY

POLICY = "/etc/llmops/policy.yaml"
ENGINE_FIELDS = ("engine", "model", "options", "replicas", "url")
REDIS_PASSWORD = "REDIS_PASSWORD"
REDIS_PORT = 6379
SERVICE_PATH = "/v1"


def cluster_config(
    setting: Setting,
    addresses: dict[str, Manifest],
    *,
    redis_url: str | None,
    secrets: str = FOLDER,
) -> Manifest:
    """`addresses`: what an upstream has instead of its engine. `secrets`: a folder of files."""
    written = copy.deepcopy(setting.source.written)
    for name, address in addresses.items():
        upstream = written["upstreams"][name]
        kept = {key: value for key, value in upstream.items() if key not in ENGINE_FIELDS}
        written["upstreams"][name] = address | kept
    for upstream in written["upstreams"].values():
        if upstream.get("key_file"):
            upstream["key_file"] = f"{secrets}/{secret_key(upstream['key_file'])}"
    if written.get("guard") not in {None, DEFAULT_POLICY}:
        written["guard"] = POLICY
    if setting.source.prompts:
        written["prompts"] = PROMPTS
    if redis_url is not None:
        redis = written.get("redis") or {}
        written["redis"] = redis | {"url": redis_url}
    written = setting.ending.written_into(written)
    mounted: Manifest = _mounted(written, secrets)
    return mounted


def service_addresses(setting: Setting) -> dict[str, Manifest]:
    """Each engine's headless Service, all of whose pods are asked for by name."""
    return {each.upstream: service_address(each) for each in setting.engines}


def service_address(engine: EngineSetting) -> Manifest:
    """By its name in whichever namespace the gateway is: an overlay has one of its own."""
    return {"discover": {"dns": f"{engine.label}:{PORT}", "path": SERVICE_PATH}}


def redis_address(setting: Setting) -> str | None:
    """None: the file's own, or none at all."""
    if setting.redis_image is None:
        return None
    return f"redis://:${{{REDIS_PASSWORD}}}@{setting.label('redis')}:{REDIS_PORT}/0"


def _mounted(value: Plain, secrets: str) -> Plain:
    if isinstance(value, str):
        return in_cluster(value, secrets)
    if isinstance(value, dict):
        return {key: _mounted(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [_mounted(each, secrets) for each in value]
    return value
