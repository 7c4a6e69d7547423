"""Detectors of one text, each by its entry in the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from msgspec import structs

from llmops_cli.core.errors import UsageError
from llmops_cli.guard.acts import scan_acts
from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.decision import Finding
from llmops_cli.guard.evidence import Scan
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.learnt.explained import without_explained
from llmops_cli.guard.link_forms import links_in
from llmops_cli.guard.models import classified, is_learnt, moderated
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.outflow import outflow_of
from llmops_cli.guard.personal import SECRETS, find
from llmops_cli.guard.policy import FAMILY, STRENGTH, Detector, PolicySide
from llmops_cli.guard.skeleton import skeleton

ORDERS = "orders"
CHARS_PER_TOKEN = 4
"""For length limits in tokens, where no tokenizer is at hand."""


def attacks(found: Scan, side: PolicySide) -> list[Finding]:
    """What the rules found. Evidence adds up over families.

    Once it is enough, the family with most of it says what is done.
    """
    if not found.evidence:
        return []
    entry = side.of(FAMILY[found.family])
    is_enough = found.score >= entry.threshold
    share = 1.0 if is_enough else _share_that_counts(found)
    return [
        Finding(
            detector=FAMILY[item.family],
            rule=item.rule,
            score=round(item.weight * share, 3),
            span=item.span,
            view=list(item.view),
            excerpt=item.text,
            action=entry.action if is_enough else "allow",
        )
        for item in found.evidence
    ]


def _share_that_counts(found: Scan) -> float:
    """Of evidence that is more by itself than it is where it stands: quoted, far apart, told of."""
    total = sum(item.weight for item in found.evidence)
    return min(found.score / total, 1.0) if total else 1.0


def orders(text: str, side: PolicySide) -> list[Finding]:
    """What a document or a tool's result asks of the model that reads it."""
    entry = side.of(ORDERS)
    if entry.action == "allow":
        return []
    found = scan_acts(text)
    is_enough = found.score >= entry.threshold
    return [
        Finding(
            detector=ORDERS,
            rule=f"orders.{item.act}",
            score=item.weight,
            span=item.span,
            action=entry.action if is_enough else "allow",
        )
        for item in found.evidence
    ]


def common(text: str, side: PolicySide) -> list[Finding]:
    """Detectors of both directions."""
    found = [*personal(text, side), *blocked_words(text, side), *too_long(len(text), side)]
    moderation = side.of("moderation")
    if moderation.action != "allow":
        found += moderated(text, moderation)
    return found


def of_classifier(
    text: str,
    side: PolicySide,
    found: Scan | None = None,
) -> list[Finding]:
    """What a classifier says; a learnt stage is not asked of sentences that the rules explained.

    It is behind the rules, and does nothing stronger than what they do here with an injection.
    """
    entry = side.of("classifier")
    if is_learnt(entry.name):
        action = min(entry.action, side.of("injection").action, key=STRENGTH.__getitem__)
        entry = structs.replace(entry, action=action)
    if entry.action == "allow":
        return []
    if found is not None and found.is_explained and is_learnt(entry.name):
        text = without_explained(text, found)
    return classified(text, entry)


def personal(text: str, side: PolicySide) -> list[Finding]:
    """Personal data and secrets, by their kinds' own actions."""
    entries = {name: side.of(name) for name in ("personal", "secrets")}
    if all(entry.action == "allow" and not entry.kinds for entry in entries.values()):
        return []
    found = []
    for entity in find(text):
        name = "secrets" if entity.kind in SECRETS else "personal"
        entry = entries[name]
        action = entry.kinds.get(entity.kind, entry.action)
        if action != "allow":
            finding = Finding(
                detector=name, rule=entity.kind, action=action, score=1.0, span=entity.span
            )
            found.append(finding)
    return found


def blocked_words(text: str, side: PolicySide) -> list[Finding]:
    """Words in any writing, and patterns as they are."""
    entry = side.of("blocklist")
    if entry.action == "allow":
        return []
    return [*_words(text, entry), *_patterns(text, entry)]


def _words(text: str, entry: Detector) -> Iterator[Finding]:
    if not entry.words:
        return
    pattern = _word_pattern(tuple(entry.words))
    for match in pattern.finditer(skeleton(normalise(text).text)):
        word = match[0].strip()
        place = text.lower().find(word)
        span = (place, place + len(word)) if place >= 0 else (0, len(text))
        yield _blocked(entry, word, span)


def _patterns(text: str, entry: Detector) -> Iterator[Finding]:
    text = without_surrogates(text)
    for pattern in entry.patterns:
        for match in _pattern(pattern).finditer(text):
            yield _blocked(entry, pattern, match.span())


def _blocked(
    entry: Detector,
    rule: str,
    span: tuple[int, int],
) -> Finding:
    return Finding(detector="blocklist", rule=rule, action=entry.action, score=1.0, span=span)


@cache
def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(skeleton(word)) for word in words))


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


def too_long(length: int, side: PolicySide) -> list[Finding]:
    """Texts over a limit of characters or tokens."""
    entry = side.of("length")
    if entry.action == "allow":
        return []
    tokens = -(-length // CHARS_PER_TOKEN)
    limits = [("chars", entry.chars, length), ("tokens", entry.tokens, tokens)]
    return [
        Finding(
            detector="length",
            rule=name,
            action=entry.action,
            score=1.0,
            span=(0, length),
            excerpt=f"{size} > {most}",
        )
        for name, most, size in limits
        if most is not None and size > most
    ]


def leaks(
    text: str,
    leak: LeakCheck | None,
    side: PolicySide,
) -> list[Finding]:
    """Parts of the system prompt in an answer."""
    entry = side.of("system_prompt")
    if leak is None or entry.action == "allow":
        return []
    found = leak.check(text)
    if found is None or found.share < entry.threshold:
        return []
    finding = Finding(
        detector="system_prompt",
        rule=found.rule,
        action=entry.action,
        score=found.share,
        span=(0, len(text)),
        view=list(found.view),
    )
    return [finding]


def links(
    text: str,
    side: PolicySide,
    leak: LeakCheck | None = None,
) -> list[Finding]:
    """Addresses that carry something out, to hosts that are not known."""
    entry = side.of("links")
    if entry.action == "allow":
        return []
    found = []
    for link in links_in(text):
        reason = outflow_of(link, hosts=entry.hosts, leak=leak)
        if reason is None:
            continue
        finding = Finding(
            detector="links",
            rule="image" if link.loads else "link",
            action=entry.action,
            score=1.0,
            span=link.span,
            excerpt=reason,
        )
        found.append(finding)
    return found
