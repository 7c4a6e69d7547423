"""The guard: a policy's detectors over what goes in and what comes out, every decision
explained.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import entry_points

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.guard.injection import scan
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.personal import KINDS, SECRETS, Entity, find, redact
from llmops_cli.guard.policy import DEFAULT, FAMILY, STRENGTH, Action, Detector, Policy, Side
from llmops_cli.guard.skeleton import skeleton
from llmops_cli.guard.stream import Redactor
from llmops_cli.runtime.http import Http

CHARS_PER_TOKEN = 4
"""For length limits in tokens, where no tokenizer is at hand."""
MARKDOWN_LINK = re.compile(
    r"!?\[[^\]\n]{0,200}\]\(\s*<?(https?://[^)\s>]{1,2000})|<img[^>]{1,300}src=[\"']?(https?://[^\"'\s>]{1,2000})",
    re.IGNORECASE,
)
CARRIES = re.compile(r"[?&][\w.-]{1,40}=[^&#\s]{12,}|/[A-Za-z0-9+/_%=-]{40,}(?:$|[?#/])")
DETECTORS = "llmops.detectors"
CHECK_EVERY = 64
STRETCH = 2048
"""Characters: how often a stream is looked at, and how much of it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of one detector saw: where in the text (`span`, characters), through which
    decoding (`view`).
    """

    detector: str
    rule: str
    action: Action
    score: float
    span: tuple[int, int]
    view: list[str] = []
    excerpt: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The strongest action of all findings. `text` is what may go on: redacted, or empty if
    blocked.
    """

    action: Action
    findings: list[Finding]
    text: str
    message: str | None = None
    score: float = 0.0

    @property
    def flagged(self) -> bool:
        return self.action in ("flag", "block")


class Guard:
    """Judges texts by one policy. Safe to share between threads."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.policy = policy

    def check_input(self, text: str, *, role: str = "user", route: str | None = None) -> Decision:
        """What a user, a document or a tool says to the model."""
        side = self.policy.input_of(role=role, route=route)
        found = _attacks(text, side)
        return self._decide(text, [*found, *_common(text, side)], side)

    def check_output(
        self, text: str, *, leak: LeakCheck | None = None, route: str | None = None
    ) -> Decision:
        """What the model says, whole."""
        side = self.policy.output_of(route=route)
        return self._decide(
            text, [*_leaks(text, leak, side), *_links(text, side), *_common(text, side)], side
        )

    def output_stream(
        self, *, leak: LeakCheck | None = None, route: str | None = None
    ) -> OutputStream:
        return OutputStream(self, self.policy.output_of(route=route), leak)

    def _decide(self, text: str, findings: list[Finding], side: Side) -> Decision:
        actions: list[Action] = [finding.action for finding in findings]
        action: Action = max(actions, key=STRENGTH.__getitem__, default="allow")
        message = None
        if action == "block":
            blocker = next(finding for finding in findings if finding.action == "block")
            message = side.of(blocker.detector).message or self.policy.message
        kept = "" if action == "block" else redact(text, _entities_to_redact(findings))
        score = sum(f.score for f in findings if f.detector in FAMILY.values())
        return Decision(
            action=action, findings=findings, text=kept, message=message, score=round(score, 3)
        )


def _entities_to_redact(findings: Sequence[Finding]) -> list[Entity]:
    found: list[Entity] = []
    for finding in sorted((f for f in findings if f.action == "redact"), key=lambda f: f.span):
        if not found or finding.span[0] >= found[-1].span[1]:
            kind = finding.rule if finding.detector in ("personal", "secrets") else finding.detector
            found.append(Entity(kind, finding.rule, finding.span))
    return found


def _attacks(text: str, side: Side) -> list[Finding]:
    """Evidence adds up over families; once it is enough, the family with most of it says what is
    done.
    """
    found = scan(text)
    if not found.evidence:
        return []
    detector = FAMILY[found.family]
    entry = side.of(detector)
    enough = found.score >= entry.threshold
    return [
        Finding(
            detector=FAMILY[item.family],
            rule=item.rule,
            score=item.weight,
            span=item.span,
            view=list(item.view),
            excerpt=item.text,
            action=entry.action if enough else "allow",
        )
        for item in found.evidence
    ]


def _common(text: str, side: Side) -> list[Finding]:
    """Detectors of both directions."""
    found = [*_personal(text, side), *_blocked_words(text, side), *_too_long(text, side)]
    for name in ("moderation", "classifier"):
        if (entry := side.of(name)).action != "allow":
            found += _moderated(text, entry) if name == "moderation" else _classified(text, entry)
    return found


def _personal(text: str, side: Side) -> list[Finding]:
    actions = {name: side.of(name) for name in ("personal", "secrets")}
    if all(entry.action == "allow" and not entry.kinds for entry in actions.values()):
        return []
    found = []
    for entity in find(text):
        name = "secrets" if entity.kind in SECRETS else "personal"
        action = actions[name].kinds.get(entity.kind, actions[name].action)
        if action != "allow":
            found.append(
                Finding(detector=name, rule=entity.kind, action=action, score=1.0, span=entity.span)
            )
    return found


@cache
def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(skeleton(word)) for word in words))


def _blocked_words(text: str, side: Side) -> list[Finding]:
    entry = side.of("blocklist")
    if entry.action == "allow" or not (entry.words or entry.patterns):
        return []
    found = []
    if entry.words:
        for match in _word_pattern(tuple(entry.words)).finditer(skeleton(normalise(text).text)):
            said = match[0].strip()
            place = text.lower().find(said)
            span = (place, place + len(said)) if place >= 0 else (0, len(text))
            found.append(
                Finding(detector="blocklist", rule=said, action=entry.action, score=1.0, span=span)
            )
    for pattern in entry.patterns:
        for found_at in _pattern(pattern).finditer(text):
            found.append(
                Finding(
                    detector="blocklist",
                    rule=pattern,
                    action=entry.action,
                    score=1.0,
                    span=found_at.span(),
                )
            )
    return found


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """RE2's, which has the same methods and takes linear time."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: re.Pattern[str] = re2.compile(pattern, options)
    except re2.error as error:
        raise UsageError(
            f"blocklist pattern {pattern!r}: {error}",
            hint="RE2 syntax: no look-around, no back-references",
        ) from error
    return compiled


def _too_long(text: str, side: Side) -> list[Finding]:
    entry = side.of("length")
    if entry.action == "allow":
        return []
    limits = [
        ("chars", entry.chars, len(text)),
        ("tokens", entry.tokens, -(-len(text) // CHARS_PER_TOKEN)),
    ]
    return [
        Finding(
            detector="length",
            rule=name,
            action=entry.action,
            score=1.0,
            span=(0, len(text)),
            excerpt=f"{size} > {most}",
        )
        for name, most, size in limits
        if most is not None and size > most
    ]


def _leaks(text: str, leak: LeakCheck | None, side: Side) -> list[Finding]:
    entry = side.of("system_prompt")
    if leak is None or entry.action == "allow":
        return []
    found = leak.check(text)
    if found is None or found.share < entry.threshold:
        return []
    return [
        Finding(
            detector="system_prompt",
            rule=found.rule,
            action=entry.action,
            score=found.share,
            span=(0, len(text)),
            view=list(found.view),
        )
    ]


def _links(text: str, side: Side) -> list[Finding]:
    """Images and links whose address could carry data out, to hosts that are not known."""
    entry = side.of("links")
    if entry.action == "allow" or "http" not in text:
        return []
    found = []
    for match in MARKDOWN_LINK.finditer(text):
        url = match[1] or match[2]
        host = url.split("/")[2].rpartition("@")[2].partition(":")[0]
        known = any(host == allowed or host.endswith(f".{allowed}") for allowed in entry.hosts)
        if not known and CARRIES.search(url):
            rule = "image" if match[0][0] in "!<" else "link"
            found.append(
                Finding(
                    detector="links", rule=rule, action=entry.action, score=1.0, span=match.span()
                )
            )
    return found


def _moderated(text: str, entry: Detector) -> list[Finding]:
    """An OpenAI-compatible moderation endpoint's verdict; it failing is an error, not a pass."""
    if not entry.url:
        raise UsageError(
            "the moderation detector needs a url", hint="an OpenAI-compatible /v1/moderations"
        )
    headers = (
        {"Authorization": f"Bearer {os.environ.get(entry.key_env, '')}"} if entry.key_env else {}
    )
    answer = Http(headers=headers).post_json(
        entry.url, {"input": text, **({"model": entry.model} if entry.model else {})}, timeout_s=20
    )
    try:
        result = (answer or {})["results"][0]
    except (KeyError, IndexError, TypeError):
        raise EnvironmentMissing(f"no moderation verdict from {entry.url}") from None
    scores = {
        str(name): float(value) for name, value in (result.get("category_scores") or {}).items()
    }
    over = {name: score for name, score in scores.items() if score >= min(entry.threshold, 1.0)}
    if result.get("flagged") and not over:
        over = {
            name: 1.0
            for name, hit in (result.get("categories") or {"flagged": True}).items()
            if hit
        }
    return [
        Finding(
            detector="moderation", rule=name, action=entry.action, score=score, span=(0, len(text))
        )
        for name, score in over.items()
    ]


def _classified(text: str, entry: Detector) -> list[Finding]:
    score = load_classifier(entry.name or "")(text)
    if score < entry.threshold:
        return []
    return [
        Finding(
            detector="classifier",
            rule=entry.name or "",
            action=entry.action,
            score=round(score, 4),
            span=(0, len(text)),
        )
    ]


@cache
def load_classifier(name: str) -> Callable[[str], float]:
    """`onnx:FOLDER` (model.onnx and tokenizer.json), or an entry point of llmops.detectors: text ->
    probability.
    """
    if name.startswith("onnx:"):
        from llmops_cli.guard.onnx import OnnxClassifier

        return OnnxClassifier(name.removeprefix("onnx:"))
    found = {point.name: point for point in entry_points(group=DETECTORS)}
    if name not in found:
        raise unknown_name("classifier", name, [*found, "onnx:FOLDER"])
    loaded: Callable[[str], float] = found[name].load()
    return loaded


class OutputStream:
    """A model's answer as it comes: redacted on the way, cut off where it must be blocked."""

    def __init__(self, guard: Guard, side: Side, leak: LeakCheck | None) -> None:
        kinds = {kind: side.of("secrets" if kind in SECRETS else "personal") for kind in KINDS}
        self._redactor = Redactor(
            {
                kind
                for kind, entry in kinds.items()
                if entry.kinds.get(kind, entry.action) == "redact"
            }
        )
        self._guard = guard
        self._side = side
        self._leak = leak
        self._said = ""
        self._checked = 0
        self.decision: Decision | None = None

    def feed(self, piece: str) -> str:
        """What may be shown now; nothing after a block. `decision` is set once something is to be
        blocked.
        """
        if self.decision is not None:
            return ""
        self._said += piece
        if len(self._said) - self._checked >= CHECK_EVERY and self._blocked():
            return ""
        return self._redactor.feed(piece)

    @property
    def redacted(self) -> bool:
        """Whether something was taken out so far."""
        return bool(self._redactor.found)

    def finish(self) -> str:
        if self.decision is not None or self._blocked():
            return ""
        return self._redactor.finish()

    def _blocked(self) -> bool:
        """Looks at the answer's last stretch: a leak, a blocked word and a length are found there
        too.
        """
        stretch = self._said[max(0, self._checked - STRETCH) :]
        self._checked = len(self._said)
        findings = [
            *_leaks(stretch, self._leak, self._side),
            *_blocked_words(stretch, self._side),
            *_too_long(self._said, self._side),
            *_links(stretch, self._side),
        ]
        if not any(finding.action == "block" for finding in findings):
            return False
        self.decision = self._guard._decide(self._said, findings, self._side)
        return True
