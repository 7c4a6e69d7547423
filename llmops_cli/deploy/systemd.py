"""Units of systemd: the gateway and its engines on one machine, with as few rights as they need."""

from __future__ import annotations

import re

from llmops_cli.deploy.cluster_config import cluster_config
from llmops_cli.deploy.engine_process import PORT, at_address
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.config import FILE
from llmops_cli.deploy.prompt_files import beside_config
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.deploy.yaml_writer import as_yaml

ADDRESS = "127.0.0.1"
CONFIG = "/etc/llmops"
SECRETS = f"{CONFIG}/secrets"
"""Files for root alone, of which systemd gives the gateway a copy to read."""
MODELS = "/models"
ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"))
PLAIN_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_$-]+")
PLAIN_PATH = re.compile(r"[A-Za-z0-9@%+=,./_-]+")
HARDENED = """\
DynamicUser=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
CapabilityBoundingSet=
UMask=0077
"""


def systemd_files(setting: Setting) -> dict[str, str]:
    """`env`: written by whoever knows the secrets, readable by root alone."""
    files = {_gateway_unit(setting): _gateway(setting)}
    for number, each in enumerate(setting.engines):
        files[f"{each.label}.service"] = _engine(setting, each, PORT + number)
    files[FILE] = as_yaml(_config(setting))
    if setting.source.policy is not None:
        files["policy.yaml"] = setting.source.policy.decode()
    files |= beside_config(setting.source.prompts)
    return {f"systemd/{name}": text for name, text in files.items()}


def _config(setting: Setting) -> Manifest:
    addresses = {}
    for number, each in enumerate(setting.engines):
        addresses[each.upstream] = {"url": f"http://{ADDRESS}:{PORT + number}/v1"}
    credentials = f"/run/credentials/{_gateway_unit(setting)}"
    return cluster_config(setting, addresses, redis_url=None, secrets=credentials)


def _gateway_unit(setting: Setting) -> str:
    return f"{setting.name}-gateway.service"


def _gateway(setting: Setting) -> str:
    engines = " ".join(f"{each.label}.service" for each in setting.engines)
    argv = ["/opt/llmops/bin/python", "-m", "llmops_cli", "serve"]
    argv += ["--config", f"{CONFIG}/{FILE}", "--host", ADDRESS]
    return _unit(
        f"llmops gateway {setting.name}",
        after=f"network-online.target {engines}".strip(),
        argv=argv,
        stop_s=setting.ending.grace_s,
        more=[
            f"StateDirectory={setting.name}",
            f"Environment=LLMOPS_STATE_DIR=/var/lib/{setting.name}",
            *(f"Environment={name}={text}" for name, text in setting.log_form.items()),
            f"EnvironmentFile=-{CONFIG}/env",
            *(f"LoadCredential={name}:{SECRETS}/{name}" for name in setting.secrets.files),
            "ExecReload=/bin/kill -HUP $MAINPID",
        ],
    )


def _engine(setting: Setting, each: EngineSetting, port: int) -> str:
    """At an address of this machine alone."""
    argv = at_address(each.process.argv, host=ADDRESS, port=port)
    variables = each.process.environment | {"HOME": "/tmp"}  # noqa: S108 - of a unit's own
    more = [f"Environment={_escaped(f'{name}={text}')}" for name, text in variables.items()]
    more.append(f"BindReadOnlyPaths={_models(setting)}")
    if each.resources.memory_mib is not None:
        more.append(f"# {each.resources.memory_mib.note}")
        more.append(f"MemoryMax={each.resources.memory_mib.value}M")
    return _unit(
        f"llmops engine {each.upstream} of {setting.name}",
        after="network-online.target",
        argv=argv,
        stop_s=each.grace_s,
        more=more,
    )


def _unit(
    description: str,
    *,
    after: str,
    argv: list[str],
    stop_s: int,
    more: list[str],
) -> str:
    command = " ".join(_word(each) for each in argv)
    lines = [
        "[Unit]",
        f"Description={description}",
        "Wants=network-online.target",
        f"After={after}",
        "",
        "[Service]",
        f"ExecStart={command}",
        "Restart=on-failure",
        "RestartSec=2",
        f"TimeoutStopSec={stop_s}",
        *more,
        HARDENED.rstrip(),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _models(setting: Setting) -> str:
    """Where they are on this machine, and where the engine looks for them."""
    folder = setting.volume.host
    if folder is None:
        return f"-{MODELS}"
    return f"{_escaped(folder, plain=PLAIN_PATH)}:{MODELS}"


def _word(text: str) -> str:
    """Of a command, in which systemd would put variables in their places."""
    return _escaped(text.replace("$", "$$"))


def _escaped(text: str, *, plain: re.Pattern[str] = PLAIN_WORD) -> str:
    """As systemd reads it again: its quotes are not a shell's, percent signs are its own."""
    text = text.replace("%", "%%")
    if plain.fullmatch(text):
        return text
    for char, escape in ESCAPES:
        text = text.replace(char, escape)
    return f'"{text}"'
