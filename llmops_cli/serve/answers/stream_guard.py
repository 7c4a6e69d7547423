"""The guard's say over a stream's choices: each text that a model says is a stream of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_cli.serve.answers.dialects.choice_texts import (
    TakenThoughts,
    TextPlace,
    is_plain,
    leave_unread,
    other_places_of,
    places_of,
    places_of_chunk,
    settle_forms,
    taken_thoughts,
    whole_places_of,
)
from llmops_cli.serve.answers.dialects.choices import ChoiceFormat
from llmops_cli.serve.answers.dialects.slots import slots_in
from llmops_cli.serve.answers.dialects.sse import event
from llmops_cli.serve.answers.dialects.tool_calls import ToolCalls
from llmops_cli.serve.context import GuardVerdict

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.decision import Decision
    from llmops_cli.guard.output import OutputStream

Json = dict[str, Any]  # Any: OpenAI's fields


class StreamGuard:
    def __init__(
        self,
        guard: Guard,
        route: str,
        form: ChoiceFormat,
    ) -> None:
        self.verdict: GuardVerdict | None = None
        self._guard = guard
        self._route = route
        self._form = form
        self._streams: dict[tuple[int, str], OutputStream] = {}
        self._calls: dict[int, ToolCalls] = {}

    @property
    def has_blocked(self) -> bool:
        return self.verdict is not None and self.verdict.action == "block"

    def rewrite(self, choice: Json) -> None:
        """A piece of one choice, in place. Raises: TypeError and the like for another form."""
        index = int(choice.get("index") or 0)
        is_last = choice.get("finish_reason") is not None
        self._number_calls(index, choice)
        choice.pop("logprobs", None)  # they spell what is redacted
        thoughts: TakenThoughts | None = None
        if not is_plain(choice):
            thoughts = taken_thoughts(choice)
            settle_forms(choice)
            leave_unread(choice)
            known = [*places_of(choice), *whole_places_of(choice)]
            for place in (*whole_places_of(choice), *other_places_of(choice, known)):
                self._judge(place)
        for place in places_of(choice):
            place.holder[place.field] = self._stream(index, place.name).feed(place.text)
        if is_last:
            self._append_rest(index, choice)
        if thoughts is not None and thoughts.blocks and self._passes(thoughts.blocks):
            thoughts.put_back()
        if not self.has_blocked and any(stream.redacted for stream in self._streams.values()):
            self.verdict = GuardVerdict("output", "redact")
        decision = self._block_of(index)
        if decision is not None:
            self._block(choice, decision)

    def _passes(self, thoughts: list[Json]) -> bool:
        """All of them as they are, or none: a signature is of every word."""
        for block in thoughts:
            for slot in slots_in(block):
                decision = self._guard.check_output(slot.text, route=self._route)
                if slot.field != "data" and decision.action in ("redact", "block"):
                    self.verdict = self.verdict or GuardVerdict("output", "redact")
                    return False
        return True

    def _number_calls(self, index: int, choice: Json) -> None:
        """Each tool call's input is a stream of its own, whatever an upstream numbers it."""
        pieces = (choice.get("delta") or {}).get("tool_calls")
        if pieces:
            self._calls.setdefault(index, ToolCalls(keeps=False)).number(pieces)

    def rewrite_rest(self, chunk: Json) -> None:
        """What an event says beside its choices, in place."""
        for place in places_of_chunk(chunk):
            self._judge(place)

    def _judge(self, place: TextPlace) -> None:
        """One that stands whole. What would be blocked is left out: it is beside the answer."""
        decision = self._guard.check_output(place.text, route=self._route)
        if decision.action in ("redact", "block"):
            shown = decision.text if decision.action == "redact" else ""
            place.holder[place.field] = shown
            self.verdict = self.verdict or GuardVerdict("output", "redact")

    def _stream(self, index: int, name: str) -> OutputStream:
        key = (index, name)
        if key not in self._streams:
            self._streams[key] = self._guard.output_stream(route=self._route)
        return self._streams[key]

    def _block_of(self, index: int) -> Decision | None:
        for (number, _), stream in self._streams.items():
            if number == index and stream.decision is not None:
                return stream.decision
        return None

    def _block(self, choice: Json, decision: Decision) -> None:
        self.verdict = GuardVerdict("output", "block", decision.findings[0].rule)
        choice["finish_reason"] = "content_filter"
        taken_thoughts(choice)
        for place in places_of(choice):
            place.holder[place.field] = ""
        self._form.replace(choice, decision.message or "")

    def _append_rest(self, index: int, choice: Json) -> None:
        """What was held back goes into the last piece."""
        for (number, name), stream in list(self._streams.items()):
            if number != index:
                continue
            rest = stream.finish()
            if rest:
                self._form.append(choice, name, rest)

    def rest(self) -> bytes:
        """What no last piece brought out, as events of their own."""
        found = []
        for index in dict.fromkeys(number for number, _ in self._streams):
            empty = self._form.empty(index)
            choice = self._form.empty(index)
            self._append_rest(index, choice)
            if choice != empty:
                found.append(event({"choices": [choice]}))
        self._streams.clear()
        return b"".join(found)
