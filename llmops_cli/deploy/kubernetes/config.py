"""ConfigMaps, the account of the pods, and which Secrets they want."""

from __future__ import annotations

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.cluster_config import (
    POLICY,
    REDIS_PASSWORD,
    cluster_config,
    redis_address,
    service_addresses,
)
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.prompt_files import map_items, map_keys
from llmops_cli.deploy.setting import Setting
from llmops_cli.deploy.yaml_writer import as_yaml
from llmops_cli.runtime.digests import digest_value

FILE = "gateway.yaml"
DATABASE = "gateway.db"
MAP_BYTES = 1_000_000
"""A ConfigMap takes 1 MiB, names and labels included."""


def account(setting: Setting) -> Manifest:
    """Without a token: nothing here asks the cluster for anything."""
    return resource(
        setting,
        "ServiceAccount",
        setting.label("pods"),
        automountServiceAccountToken=False,
    )


def gateway_files(setting: Setting) -> dict[str, str]:
    """Of its ConfigMap."""
    config = cluster_config(
        setting,
        service_addresses(setting),
        redis_url=redis_address(setting),
    )
    files = {FILE: as_yaml(config)}
    if setting.source.policy is not None:
        files[POLICY.rpartition("/")[2]] = setting.source.policy.decode()
    prompts = setting.source.prompts
    files |= {key: prompts[path] for path, key in map_keys(prompts).items()}
    return files


def config_items(setting: Setting) -> list[Manifest] | None:
    """Where files of the ConfigMap are mounted; None: each under its own name."""
    prompts = setting.source.prompts
    if not prompts:
        return None
    keys = set(map_keys(prompts).values())
    names = [name for name in gateway_files(setting) if name not in keys]
    return map_items(names, prompts)


def config_map(setting: Setting) -> Manifest:
    """Raises: UsageError for more than one takes."""
    files = gateway_files(setting)
    size_bytes = sum(len(text.encode()) for text in files.values())
    if size_bytes > MAP_BYTES:
        raise UsageError(
            f"the gateway's {len(files)} files of {size_bytes:,} bytes do not fit into a ConfigMap",
            hint=f"{MAP_BYTES:,} at most: a smaller policy, or fewer prompts",
        )
    name = setting.label("gateway")
    return resource(setting, "ConfigMap", name, part="gateway", data=files)


def config_digest(setting: Setting) -> str:
    """In the pods' annotations, so that another configuration is a rolling change."""
    return digest_value(gateway_files(setting)).removeprefix("sha256:")[:16]


def secret_names(setting: Setting) -> dict[str, list[str]]:
    """Secret -> its keys, all of which somebody must have made."""
    found = {setting.label("keys"): [DATABASE]}
    if setting.secrets.variables:
        found[setting.label("env")] = list(setting.secrets.variables)
    if setting.secrets.files:
        found[setting.label("files")] = list(setting.secrets.files)
    if setting.redis_image is not None:
        found[setting.label("redis")] = [REDIS_PASSWORD]
    return found


def environment(setting: Setting) -> list[Manifest]:
    """Variables of the gateway, each from a Secret."""
    found = []
    for name, may_lack in setting.secrets.variables.items():
        found.append(_from_secret(name, setting.label("env"), optional=may_lack))
    if setting.redis_image is not None:
        found.append(_from_secret(REDIS_PASSWORD, setting.label("redis")))
    return found


def _from_secret(name: str, secret: str, *, optional: bool = False) -> Manifest:
    reference: Manifest = {"name": secret, "key": name}
    if optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}
