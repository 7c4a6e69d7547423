"""One YAML file says what each detector does with what it finds: allow, flag, redact or block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.fields import Positive
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.urls import SCHEMES, refuse_secrets
from llmops_cli.guard.personal import KINDS
from llmops_cli.guard.skeleton import skeleton
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

Action = Literal["allow", "flag", "redact", "block"]
STRENGTH: dict[str, int] = {"allow": 0, "flag": 1, "redact": 2, "block": 3}
INPUT = (
    "injection",
    "jailbreak",
    "extraction",
    "hidden_text",
    "orders",
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
SIDES = ("input", "output")
ROUTES_FORM = "routes: {/v1/path: {input: {injection: flag}}}"
ROLES_FORM = "roles: {document: {injection: block}}"
SIDE_FORM = "input: {injection: block}"
WRONG_CHARS = 40
"""Of a value that is refused, in its error."""
CANARY_LEAST = 8
"""Letters and digits: a shorter one stands in honest answers."""
NEEDED = {"moderation": ("url", "name"), "classifier": ("name",)}
"""Without which a detector could only fail at its first text."""
NEEDED_HINTS = {
    "moderation": "an OpenAI-compatible /v1/moderations, or name: onnx:FOLDER",
    "classifier": "shipped, onnx:FOLDER, learnt:FOLDER, or an entry point of llmops.detectors",
}
UNUSED_WITHOUT_ACTION = ("name", "threshold")
"""But for moderation, whose scores are told even where it stops nothing."""
ONNX = "onnx:"
"""Before the folder of a model."""
SHIPPED = "shipped"
"""The learnt stage that comes with llmops."""
REFUSAL = "This request was stopped by the content policy."


Threshold = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Detector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`action` from `threshold` on: evidence of 1 is an attack, shares go from 0 to 1.

    `kinds` of personal data have actions of their own. The rest belongs to one detector each:
    `words` and `patterns` to blocklist, `chars` and `tokens` to length, `url`, `model` and
    `key_env` to moderation, `name` to classifier and moderation, `hosts` to links, `canaries` to
    system_prompt.
    """

    action: Action = "allow"
    threshold: Threshold = 1.0
    message: str | None = None
    kinds: dict[str, Action] = {}
    words: list[str] = []
    patterns: list[str] = []
    chars: Positive | None = None
    tokens: Positive | None = None
    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    name: str | None = None
    hosts: list[str] = []
    canaries: list[str] = []


NOT_NAMED = Detector()
"""It does nothing."""


class PolicySide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Detectors of one direction; those not named keep their defaults."""

    detectors: dict[str, Detector]

    def of(self, name: str) -> Detector:
        return self.detectors.get(name, NOT_NAMED)


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
        return _merged(layers) if len(layers) > 1 else self.input

    @property
    def roles_known(self) -> frozenset[str]:
        return frozenset(("user", "assistant", *self.roles))

    def output_of(self, *, route: str | None = None) -> PolicySide:
        """The output side for a route."""
        layers = [self.output]
        if route in self.routes:
            layers.append(self.routes[route][1])
        return _merged(layers) if len(layers) > 1 else self.output


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
            "classifier": Detector(action="block", name=SHIPPED),
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
            ("document", "tool", "function"),
            PolicySide(
                detectors={
                    "injection": Detector(action="block", threshold=0.8),
                    "orders": Detector(action="block"),
                }
            ),
        ),
        "definition": PolicySide(
            detectors={
                "orders": Detector(action="flag"),
                "classifier": Detector(action="flag", name=SHIPPED),
            }
        ),
        **dict.fromkeys(
            ("system", "developer", "assistant"),
            PolicySide(
                detectors={
                    "injection": Detector(action="block", threshold=2.0),
                    "jailbreak": Detector(action="flag"),
                    "extraction": Detector(action="flag"),
                    "classifier": Detector(action="allow"),
                }
            ),
        ),
    },
)
"""Attacks are blocked; secrets and payment data are taken out of answers; what users write of
themselves is theirs. Documents and results of tools need less evidence: they have no business
giving orders, and are asked whether they do. Definitions of tools are an application's, which may
give some, or a stranger's: theirs are flagged. System prompts give orders, and warn of attacks in
an attack's words, as a model's refusals do: they need more, and are only flagged for what is their
business.
"""


def load_policy(path: Path) -> Policy:
    """The file's policy over the default one. Raises: UsageError naming the key and the line."""
    try:
        text = read_text(path)
        raw = load_yaml(text)
    except OSError as error:
        hint = "default, or a YAML file with the keys input, output, routes, roles, message"
        raise UsageError(
            f"no policy at {path}: {error.strerror}", hint=near_path(path, hint)
        ) from error
    except UNREADABLE as error:
        raise UsageError(f"{path} is not YAML: {reason_of(error)}") from error
    if not isinstance(raw, dict):
        raise UsageError(
            f"{path} holds no policy", hint="keys: input, output, routes, roles, message"
        )
    return PolicyReader(str(path), text).policy(raw)


def pattern_fault(pattern: str) -> str | None:
    """Why RE2 cannot read it; None if it can."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        return str(error)
    return None


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
            routes=self._routes(raw),
            roles=self._roles(raw),
            message=self._message(raw.get("message", REFUSAL)),
        )

    def _message(self, raw: object) -> str:
        if not isinstance(raw, str):
            raise UsageError(f"{self._where('message')}: message is no text", hint="put it in ''")
        return raw

    def _routes(self, raw: dict[str, Any]) -> dict[str, tuple[PolicySide, PolicySide]]:  # Any: YAML
        found = {}
        for name, entry in self._mapping(raw.get("routes"), "routes", ROUTES_FORM).items():
            route = str(name)
            sides = self._mapping(entry, route, ROUTES_FORM)
            for key in map(str, sides):
                if key not in SIDES:
                    raise unknown_name(f"side of {route} ({self._where(route)})", key, SIDES)
            found[route] = (self._input(sides), self._output(sides))
        return found

    def _roles(self, raw: dict[str, Any]) -> dict[str, PolicySide]:  # Any: YAML
        found = dict(DEFAULT.roles)
        for name, entry in self._mapping(raw.get("roles"), "roles", ROLES_FORM).items():
            role = str(name)
            known = found.get(role, PolicySide(detectors={}))
            found[role] = _merged([known, self._side(entry, INPUT, key=role)])
        return found

    def _input(self, raw: dict[str, Any]) -> PolicySide:  # Any: YAML
        return self._side(raw.get("input"), INPUT, key="input")

    def _output(self, raw: dict[str, Any]) -> PolicySide:  # Any: YAML
        return self._side(raw.get("output"), OUTPUT, key="output")

    def _mapping(
        self,
        raw: Any,
        key: str,
        form: str,
    ) -> dict[Any, Any]:  # Any: YAML
        """What stands under the key; nothing where nothing does. Raises: UsageError."""
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            words = " ".join(repr(raw).split())[:WRONG_CHARS]
            raise UsageError(f"{self._where(key)}: {key} cannot be {words}", hint=form)
        return raw

    def _side(
        self,
        raw: Any,
        known: tuple[str, ...],
        *,
        key: str,
    ) -> PolicySide:  # Any: YAML
        found = {}
        for detector, entry in self._mapping(raw, key, SIDE_FORM).items():
            name = str(detector)
            if name not in known:
                raise unknown_name(f"detector ({self._where(name)})", name, known)
            found[name] = self._detector(name, entry)
        return PolicySide(detectors=found)

    def _detector(self, name: str, entry: Any) -> Detector:  # Any: YAML
        fields = {"action": entry} if isinstance(entry, str) else entry
        misfit = misfit_of(fields, Detector)
        if misfit is not None:
            raise UsageError(
                f"{self._where(name)}: {name}: {misfit.told}",
                hint=misfit.hint or "actions: allow, flag, redact, block",
            )
        detector = msgspec.convert(fields, Detector)
        for kind in detector.kinds:
            if kind not in KINDS:
                where = self._where(str(kind))
                raise unknown_name(f"kind of personal data ({where})", kind, KINDS)
        self._check_texts(name, detector)
        if detector.url is not None:
            refuse_secrets(detector.url, field="url")
            if not detector.url.startswith(SCHEMES):
                raise UsageError(f"{self._where(name)}: {name}: url is no http(s) URL")
        unused = [field for field in UNUSED_WITHOUT_ACTION if field in fields]
        if unused and "action" not in fields and name != "moderation":
            words = f"{self._where(name)}: {name} has a {unused[0]} and no action: it would be off"
            raise UsageError(words, hint=f"{name}: {{action: block, {unused[0]}: ...}}")
        needed = NEEDED.get(name, ())
        given = [field for field in needed if getattr(detector, field)]
        if needed and detector.action != "allow" and not given:
            words = f"{self._where(name)}: {name} needs a {' or a '.join(needed)}"
            raise UsageError(words, hint=NEEDED_HINTS[name])
        if name == "moderation" and detector.name and not detector.name.startswith(ONNX):
            words = f"{self._where(name)}: moderation: {detector.name!r} is no model here"
            raise UsageError(words, hint=NEEDED_HINTS[name])
        if len(given) > 1:
            raise UsageError(f"{self._where(name)}: {name} has both a {' and a '.join(given)}")
        return detector

    def _check_texts(self, name: str, detector: Detector) -> None:
        """Raises: UsageError for words that every text has, and patterns that cannot be read."""
        if not all(word.strip() for word in detector.words):
            raise UsageError(f"{self._where(name)}: {name}: an empty word stands in every text")
        if detector.canaries and detector.action == "allow":
            words = f"{self._where(name)}: {name}: canaries that may be told"
            raise UsageError(words, hint="system_prompt: {action: block, canaries: [...]}")
        for canary in detector.canaries:
            if len(skeleton(canary).strip()) < CANARY_LEAST:
                words = f"{self._where(name)}: {name}: the canary {canary!r} is said by chance"
                raise UsageError(words, hint="llmops_cli.guard.leak.canary() makes one")
        for pattern in detector.patterns:
            reason = pattern_fault(pattern)
            if reason is not None:
                words = f"{self._where(name)}: {name}: pattern {pattern!r}: {reason}"
                raise UsageError(words, hint="RE2 syntax: no look-around, no back-references")

    def _where(self, key: str) -> str:
        """The first line that begins with the key, or else has it (`{a: {b: c}}`)."""
        entry = f"{key}:"
        begins = [line.strip().startswith(entry) for line in self._lines]
        has = [entry in line for line in self._lines]
        for found in (begins, has):
            if True in found:
                return f"{self._path}, line {found.index(True) + 1}"
        return self._path
