"""The guard's say over a stream of typed events, as OpenAI's Responses and transcripts are.

Such a stream says everything several times: in deltas, then whole when a part, an item and the
response are done. Each text that comes in deltas is a stream of its own, and what stands whole
afterwards is what was shown of it. Whatever else is a string is judged as it stands. An event of a
kind that nobody here knows passes only if no words are in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_cli.serve.answers.dialects.slots import AnswerSlot, slots_in, without_spelling
from llmops_cli.serve.context import GuardVerdict
from llmops_cli.serve.upstreams.errors import MalformedAnswer

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision
    from llmops_cli.guard.output import OutputStream

Json = dict[str, Any]  # Any: OpenAI's fields
DELTA = ".delta"
DONE = ".done"
POSITION = (
    "item_id",
    "output_index",
    "content_index",
    "summary_index",
    "command_index",
    "segment_id",
)
"""Fields that say which text a piece belongs to."""
SOUND = ("response.audio.delta",)
"""Deltas that are no text."""
KNOWN = frozenset(
    (
        "error",
        "image_edit.completed",
        "image_edit.partial_image",
        "image_generation.completed",
        "image_generation.partial_image",
        "response.completed",
        "response.content_part.added",
        "response.created",
        "response.failed",
        "response.image_generation_call.partial_image",
        "response.in_progress",
        "response.incomplete",
        "response.output_item.added",
        "response.output_text.annotation.added",
        "response.queued",
        "response.reasoning_summary_part.added",
        "response.shell_call_command.added",
    )
)
"""Kinds whose words are whole; with them all that end with DONE."""


CONTAINERS = (
    "response.content_part.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
)
LAST = ("response.completed", "response.failed", "response.incomplete", "error")
"""With these every text has its end."""


class _Text:
    """One text that comes in pieces: as the upstream says it, and as it was shown."""

    def __init__(self, stream: OutputStream, kind: str, position: Json) -> None:
        self.stream = stream
        self.kind = kind
        self.position = position
        self.said: list[str] = []
        self.shown: list[str] = []

    def feed(self, piece: str) -> str:
        shown = self.stream.feed(piece)
        self.said.append(piece)
        self.shown.append(shown)
        return shown

    def finish(self) -> str:
        rest = self.stream.finish()
        self.shown.append(rest)
        return rest


class _Name(NamedTuple):
    """`path`: where the text stands in its delta, if that is no string itself."""

    kind: str
    place: tuple[object, ...]
    path: str | int


class EventGuard:
    """Of one stream. `decision` is set when something is to be blocked; then nothing may follow."""

    def __init__(self, guard: Guard, route: str) -> None:
        self._guard = guard
        self._route = route
        self._open: dict[_Name, _Text] = {}
        self._closed: set[_Name] = set()
        self._judged: dict[str, str] = {}
        self._redacts = False
        self.decision: Decision | None = None

    @property
    def verdict(self) -> GuardVerdict | None:
        if self.decision is not None:
            return GuardVerdict("output", "block", self.decision.findings[0].rule)
        return GuardVerdict("output", "redact") if self._redacts else None

    def rewrite(self, event: Json) -> list[Json]:
        """What may go on now, in the event's place. Raises: MalformedAnswer."""
        kind = str(event.get("type"))
        without_spelling(event)
        if kind.endswith(DELTA) and kind not in SOUND:
            self._piece(kind, event)
            before = []
        else:
            before = self._close(kind, event)
            if kind not in KNOWN and not kind.endswith(DONE) and any(slots_in(event)):
                return before
            self._rewrite_whole(event)
        if self.decision is not None:
            return []
        return [*before, event]

    # -- in pieces

    def _piece(self, kind: str, event: Json) -> None:
        """Raises: MalformedAnswer."""
        position = {name: event[name] for name in POSITION if name in event}
        delta = {"delta": event.pop("delta")} if "delta" in event else {}
        for slot in slots_in(delta):
            path = "" if slot.holder is delta else slot.field
            name = _Name(kind.removesuffix(DELTA), tuple(position.values()), path)
            text = self._text(name, kind, position)
            slot.holder[slot.field] = text.feed(slot.text)
            self._note(text)
        self._rewrite_whole(event)
        event.update(delta)

    def _text(self, name: _Name, kind: str, position: Json) -> _Text:
        """Raises: MalformedAnswer for one that has ended, of which the end was shown."""
        if name in self._closed:
            raise MalformedAnswer("a text goes on after its end")
        text = self._open.get(name)
        if text is None:
            stream = self._guard.output_stream(route=self._route)
            text = _Text(stream, kind, position)
            self._open[name] = text
        return text

    def _close(self, kind: str, event: Json) -> list[Json]:
        """What was held back of the texts that end with this event, as pieces of their own."""
        return self._finish([name for name, text in self._open.items() if _ends(kind, event, text)])

    def _finish(self, names: list[_Name]) -> list[Json]:
        found = []
        for name in names:
            text = self._open.pop(name)
            self._closed.add(name)
            rest = text.finish()
            self._note(text)
            self._judged["".join(text.said)] = "".join(text.shown)
            if rest:
                delta: str | Json = rest if name.path == "" else {str(name.path): rest}
                found.append({"type": text.kind, **text.position, "delta": delta})
        return found

    def rest(self) -> list[Json]:
        """Of a stream that ends without saying that its texts do."""
        return self._finish(list(self._open))

    def _note(self, text: _Text) -> None:
        self._redacts = self._redacts or text.stream.redacted
        if self.decision is None:
            self.decision = text.stream.decision

    # -- whole

    def _rewrite_whole(self, value: Json) -> None:
        for slot in list(slots_in(value)):
            slot.holder[slot.field] = self._judge(slot)

    def _judge(self, slot: AnswerSlot) -> str:
        text = slot.text
        if not text or self.decision is not None:
            return text
        shown = self._judged.get(text)
        if shown is None:
            decision = self._guard.check_output(text, route=self._route)
            shown = text
            if decision.action == "block":
                self.decision = decision
            elif decision.action == "redact":
                self._redacts = True
                shown = decision.text
            self._judged[text] = shown
        return shown


def _ends(kind: str, event: Json, text: _Text) -> bool:
    """Whether a text has its end with this event: its own, its part's, its item's or the last."""
    if kind in LAST:
        return True
    if kind not in CONTAINERS and kind != f"{text.kind.removesuffix(DELTA)}{DONE}":
        return False
    return all(event[field] == text.position.get(field) for field in POSITION if field in event)
