"""One YAML file says what each detector does with what it finds: allow, flag, redact or block."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.urls import refuse_secrets
from llmops_cli.guard.personal import KINDS
from llmops_cli.runtime.rows import read_text

Action = Literal["allow", "flag", "redact", "block"]
STRENGTH: dict[str, int] = {"allow": 0, "flag": 1, "redact": 2, "block": 3}
INPUT = (
    "injection",
    "jailbreak",
    "extraction",
    "hidden_text",
    "personal",
    "secrets",
    "blocklist",
    "length",
    "moderation",
    "classifier",
)
OUTPUT = (
    "system_prompt",
    "personal",
    "secrets",
    "links",
    "blocklist",
    "length",
    "moderation",
    "classifier",
)
FAMILY = {
    "direct_hijack": "injection",
    "indirect": "injection",
    "jailbreak": "jailbreak",
    "extraction": "extraction",
    "hidden_text": "hidden_text",
}
"""A rule's family -> the detector whose action counts."""
KEYS = ("input", "output", "routes", "roles", "message")
NEEDED = {"moderation": "url", "classifier": "name"}
"""Without which a detector could only fail at its first text."""
NEEDED_HINTS = {
    "moderation": "an OpenAI-compatible /v1/moderations",
    "classifier": "onnx:FOLDER, or an entry point of llmops.detectors",
}
REFUSAL = "This request was stopped by the content policy."


class Detector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`action` from `threshold` on: evidence of 1 is an attack, shares go from 0 to 1.

    `kinds` of personal data have actions of their own. The rest belongs to one detector each:
    `words` and `patterns` to blocklist, `chars` and `tokens` to length, `url`, `model` and
    `key_env` to moderation, `name` to classifier, `hosts` to links.
    """

    action: Action = "allow"
    threshold: float = 1.0
    message: str | None = None
    kinds: dict[str, Action] = {}
    words: list[str] = []
    patterns: list[str] = []
    chars: int | None = None
    tokens: int | None = None
    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    name: str | None = None
    hosts: list[str] = []


class PolicySide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Detectors of one direction; those not named keep their defaults."""

    detectors: dict[str, Detector]

    def of(self, name: str) -> Detector:
        return self.detectors.get(name, Detector())


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`routes` and `roles` change single detectors, for requests on that path or messages of it."""

    input: PolicySide
    output: PolicySide
    routes: dict[str, tuple[PolicySide, PolicySide]] = {}
    roles: dict[str, PolicySide] = {}
    message: str = REFUSAL

    def input_of(self, *, role: str = "user", route: str | None = None) -> PolicySide:
        layers = [self.input]
        if route in self.routes:
            layers.append(self.routes[route][0])
        if role in self.roles:
            layers.append(self.roles[role])
        return _merged(layers)

    def output_of(self, *, route: str | None = None) -> PolicySide:
        """The output side for a route."""
        layers = [self.output]
        if route in self.routes:
            layers.append(self.routes[route][1])
        return _merged(layers)


def _merged(layers: list[PolicySide]) -> PolicySide:
    """Later layers' detectors before earlier ones'."""
    detectors: dict[str, Detector] = {}
    for layer in layers:
        detectors |= layer.detectors
    return PolicySide(detectors=detectors)


DEFAULT = Policy(
    input=PolicySide(
        detectors={
            **{
                name: Detector(action="block")
                for name in ("injection", "jailbreak", "extraction", "hidden_text")
            },
            "length": Detector(action="block", chars=4_000_000),
        }
    ),
    output=PolicySide(
        detectors={
            "system_prompt": Detector(
                action="block", threshold=0.0, message="The answer was withheld."
            ),
            "secrets": Detector(action="redact"),
            "personal": Detector(
                action="flag",
                kinds={
                    "card": "redact",
                    "iban": "redact",
                    "ssn": "redact",
                    "national_id": "redact",
                    "ip": "allow",
                    "mac": "allow",
                    "wallet": "allow",
                },
            ),
            "links": Detector(action="flag"),
        }
    ),
    roles={
        **dict.fromkeys(
            ("document", "tool"),
            PolicySide(detectors={"injection": Detector(action="block", threshold=0.6)}),
        ),
        **dict.fromkeys(
            ("system", "developer", "assistant"),
            PolicySide(
                detectors={
                    "injection": Detector(action="block", threshold=2.0),
                    "jailbreak": Detector(action="flag"),
                    "extraction": Detector(action="flag"),
                }
            ),
        ),
    },
)
"""Attacks are blocked; secrets and payment data are taken out of answers; what users write of
themselves is theirs. Documents and results of tools need less evidence: they have no business
giving orders. System prompts give orders, and warn of attacks in an attack's words, as a model's
refusals do: they need more, and are only flagged for what is their business.
"""


def load_policy(path: Path) -> Policy:
    """The file's policy over the default one. Raises: UsageError naming the key and the line."""
    try:
        text = read_text(path)
        raw = yaml.safe_load(text)
    except OSError as error:
        raise UsageError(f"no policy at {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())[:160]}") from error
    if not isinstance(raw, dict):
        raise UsageError(
            f"{path} holds no policy", hint="keys: input, output, routes, roles, message"
        )
    return PolicyReader(str(path), text).policy(raw)


class PolicyReader:
    """Turns YAML into a Policy, and a mistake into one line with its place."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._lines = text.split("\n")

    def policy(self, raw: dict[str, Any]) -> Policy:  # Any: YAML
        """Over the default one. Raises: UsageError."""
        for key in map(str, raw):
            if key not in KEYS:
                raise unknown_name(f"key of the policy ({self._where(key)})", key, KEYS)
        return Policy(
            input=_merged([DEFAULT.input, self._input(raw)]),
            output=_merged([DEFAULT.output, self._output(raw)]),
            routes=self._routes(raw.get("routes") or {}),
            roles=DEFAULT.roles | self._roles(raw.get("roles") or {}),
            message=str(raw.get("message", REFUSAL)),
        )

    def _routes(self, raw: dict[str, Any]) -> dict[str, tuple[PolicySide, PolicySide]]:  # Any: YAML
        return {
            str(route): (self._input(entry), self._output(entry)) for route, entry in raw.items()
        }

    def _roles(self, raw: dict[str, Any]) -> dict[str, PolicySide]:  # Any: YAML
        return {str(role): self._side(entry or {}, INPUT) for role, entry in raw.items()}

    def _input(self, raw: dict[str, Any]) -> PolicySide:  # Any: YAML
        return self._side(raw.get("input") or {}, INPUT)

    def _output(self, raw: dict[str, Any]) -> PolicySide:  # Any: YAML
        return self._side(raw.get("output") or {}, OUTPUT)

    def _side(self, raw: Any, known: tuple[str, ...]) -> PolicySide:  # Any: YAML
        if not isinstance(raw, dict):
            raise UsageError(f"{self._path}: a side of a policy maps detectors to what they do")
        found = {}
        for key, entry in raw.items():
            name = str(key)
            if name not in known:
                raise unknown_name(f"detector ({self._where(name)})", name, known)
            found[name] = self._detector(name, entry)
        return PolicySide(detectors=found)

    def _detector(self, name: str, entry: Any) -> Detector:  # Any: YAML
        fields = {"action": entry} if isinstance(entry, str) else entry
        try:
            detector = msgspec.convert(fields, Detector)
        except msgspec.ValidationError as error:
            reason = str(error).replace("`", "")
            raise UsageError(
                f"{self._where(name)}: {name}: {reason}",
                hint="actions: allow, flag, redact, block",
            ) from error
        for kind in detector.kinds:
            if kind not in KINDS:
                where = self._where(str(kind))
                raise unknown_name(f"kind of personal data ({where})", kind, KINDS)
        if detector.url is not None:
            refuse_secrets(detector.url, field="url")
        needed = NEEDED.get(name)
        if needed and detector.action != "allow" and not getattr(detector, needed):
            raise UsageError(
                f"{self._where(name)}: {name} needs a {needed}", hint=NEEDED_HINTS[name]
            )
        return detector

    def _where(self, key: str) -> str:
        for number, line in enumerate(self._lines, 1):
            if line.strip().startswith(f"{key}:"):
                return f"{self._path}, line {number}"
        return self._path
