"""Compose: the same containers on one machine with Docker or Podman."""

from __future__ import annotations

from llmops_cli.deploy.cluster_config import REDIS_PASSWORD, REDIS_PORT, cluster_config
from llmops_cli.deploy.engine_process import HOST, PORT
from llmops_cli.deploy.knob import Manifest, without_nothing
from llmops_cli.deploy.kubernetes.config import FILE
from llmops_cli.deploy.kubernetes.gateway import CONFIG, STATE
from llmops_cli.deploy.kubernetes.gateway import PORT as GATEWAY_PORT
from llmops_cli.deploy.kubernetes.redis import BEGIN_WITH_PASSWORD
from llmops_cli.deploy.kubernetes.redis import USER as REDIS_USER
from llmops_cli.deploy.prompt_files import FOLDER as PROMPTS
from llmops_cli.deploy.prompt_files import beside_config
from llmops_cli.deploy.secrets import FOLDER
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.deploy.yaml_writer import as_yaml

EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a container's own network
BIND = "127.0.0.1"
POLICY = "policy.yaml"
MODELS = "models"
"""A volume of this file, whatever the one that it stands for is called."""


def compose_files(setting: Setting) -> dict[str, str]:
    """Keys: `docker compose run gateway keys create --name me`, before the start."""
    services = {"gateway": _gateway(setting)}
    for each in setting.engines:
        services[each.upstream] = _engine(setting, each)
    if setting.redis_image is not None:
        services["redis"] = _redis(setting)
    volumes: Manifest = {"state": {}}
    if setting.volume.claim is not None:
        volumes[MODELS] = {"external": True, "name": setting.volume.claim}
    whole = {"name": setting.name, "services": services, "volumes": volumes}
    files = {"compose.yaml": as_yaml(whole), FILE: as_yaml(_config(setting))}
    if setting.source.policy is not None:
        files[POLICY] = setting.source.policy.decode()
    files |= beside_config(setting.source.prompts)
    return {f"compose/{name}": text for name, text in files.items()}


def _config(setting: Setting) -> Manifest:
    addresses = {}
    for each in setting.engines:
        addresses[each.upstream] = {"url": f"http://{each.upstream}:{PORT}/v1"}
    url = None
    if setting.redis_image is not None:
        url = f"redis://:${{{REDIS_PASSWORD}}}@redis:{REDIS_PORT}/0"
    return cluster_config(setting, addresses, redis_url=url)


def _service(image: object, grace_s: int, **more: object) -> Manifest:
    """Without rights, as pods are."""
    found = {
        "image": image,
        "restart": "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": f"{grace_s}s",
        "tmpfs": ["/tmp"],  # noqa: S108 - of a container's own
        **more,
    }
    return without_nothing(found)


def _gateway(setting: Setting) -> Manifest:
    variables = {name: f"${{{name}:-}}" for name in setting.secrets.variables}
    variables |= setting.log_form
    if setting.redis_image is not None:
        variables[REDIS_PASSWORD] = f"${{{REDIS_PASSWORD}:?}}"
    mounts = [f"./{FILE}:{CONFIG}/{FILE}:ro", f"state:{STATE}"]
    if setting.source.policy is not None:
        mounts.append(f"./{POLICY}:{CONFIG}/{POLICY}:ro")
    if setting.source.prompts:
        mounts.append(f"./{PROMPTS}:{CONFIG}/{PROMPTS}:ro")
    if setting.secrets.files:
        mounts.append(f"./secrets:{FOLDER}:ro")
    place = f"{CONFIG}/{FILE}"
    return _service(
        setting.gateway_image,
        setting.ending.grace_s,
        command=["serve", "--config", place, "--host", EVERYWHERE, "--port", str(GATEWAY_PORT)],
        environment=variables,
        ports=[f"{BIND}:{GATEWAY_PORT}:{GATEWAY_PORT}"],
        volumes=mounts,
        depends_on=[each.upstream for each in setting.engines],
    )


def _engine(setting: Setting, each: EngineSetting) -> Manifest:
    argv = [EVERYWHERE if word == HOST else _to_the_letter(word) for word in each.process.argv]
    variables = {name: _to_the_letter(text) for name, text in each.process.environment.items()}
    is_program = not argv[0].startswith("-")
    memory = each.resources.memory_mib
    cards: Manifest | None = None
    if each.resources.cards:
        device = {
            "driver": "nvidia",
            "count": each.resources.cards,
            "capabilities": ["gpu"],
        }
        cards = {"resources": {"reservations": {"devices": [device]}}}
    return _service(
        each.image,
        each.grace_s,
        entrypoint=argv[:1] if is_program else None,
        command=argv[1:] if is_program else argv,
        environment=variables,
        shm_size="8gb",
        mem_limit=f"{memory.value}m" if memory and not each.resources.cards else None,
        volumes=[_models(setting)],
        deploy=cards,
    )


def _models(setting: Setting) -> Manifest:
    mount = {"type": "volume", "source": MODELS}
    if setting.volume.host is not None:
        mount = {"type": "bind", "source": _to_the_letter(setting.volume.host)}
    return {**mount, "target": "/models", "read_only": True}


def _to_the_letter(text: str) -> str:
    """Compose puts variables in the place of `$NAME`."""
    return text.replace("$", "$$")


def _redis(setting: Setting) -> Manifest:
    return _service(
        setting.redis_image,
        30,
        user=f"{REDIS_USER}:{REDIS_USER}",  # its image begins as root, and without rights ends so
        environment={REDIS_PASSWORD: f"${{{REDIS_PASSWORD}:?}}"},
        command=[*map(_to_the_letter, BEGIN_WITH_PASSWORD), "--save", ""],
    )
