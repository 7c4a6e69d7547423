"""A model's answer as it comes: redacted on the way, cut off where it must be blocked."""

from __future__ import annotations

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.decision import Decision, Finding, decide
from llmops_cli.guard.detectors import blocked_words, leaks, links, too_long
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.link_stream import LinkStream
from llmops_cli.guard.personal import KINDS, SECRETS
from llmops_cli.guard.policy import Policy, PolicySide
from llmops_cli.guard.stream import Redactor

CHECK_EVERY = 64
STRETCH = 2048
"""Characters: how often a stream is looked at, and how much of it."""


class OutputStream:
    """Feed it an answer's pieces. `decision` is set once something is to be blocked."""

    def __init__(
        self,
        policy: Policy,
        side: PolicySide,
        leak: LeakCheck | None,
    ) -> None:
        self._redactor = Redactor(_redacted_kinds(side))
        self._policy = policy
        self._side = side
        self._leak = leak
        self._links = LinkStream()
        self._recent = ""
        self._length = 0
        self._checked = 0
        self.decision: Decision | None = None

    def feed(self, piece: str) -> str:
        """What may be shown now; nothing after a block."""
        if self.decision is not None:
            return ""
        piece = without_surrogates(piece)
        self._recent += piece
        self._length += len(piece)
        if self._is_due(piece) and self._is_blocked():
            return ""
        return self._redactor.feed(piece)

    def _is_due(self, piece: str) -> bool:
        """Every so often, and where an address may have ended, before it is let go."""
        if self._length - self._checked >= CHECK_EVERY:
            return True
        return self._side.of("links").action == "block" and self._links.may_end(piece)

    @property
    def redacted(self) -> bool:
        """Whether something was taken out so far."""
        return bool(self._redactor.found)

    def finish(self) -> str:
        """The rest that may be shown."""
        if self.decision is not None or self._is_blocked():
            return ""
        return self._redactor.finish()

    def _is_blocked(self) -> bool:
        """Looks at the last stretch: a leak, a blocked word and a length are found there too."""
        stretch = self._recent
        before = self._links.before
        self._checked = self._length
        self._recent = self._links.kept(stretch, STRETCH)
        findings = [
            *leaks(stretch, self._leak, self._side),
            *blocked_words(stretch, self._side),
            *too_long(self._length, self._side),
            *self._carrying(before + stretch),
        ]
        if not any(finding.action == "block" for finding in findings):
            return False
        self.decision = decide(stretch, findings, side=self._side, policy=self._policy)
        return True

    def _carrying(self, stretch: str) -> list[Finding]:
        """Only where they would stop the stream: nothing else can be done with them in one."""
        if self._side.of("links").action != "block":
            return []
        return links(stretch, self._side, self._leak)


def _redacted_kinds(side: PolicySide) -> set[str]:
    found = set()
    for kind in KINDS:
        entry = side.of("secrets" if kind in SECRETS else "personal")
        if entry.kinds.get(kind, entry.action) == "redact":
            found.add(kind)
    return found
