"""One choice's text as content and calls of tools, in OpenAI's shapes."""

from _shared.tools.events import Arguments, CallBegin, Content, Reader, Thought
from llamacpp.server.asgi import JsonObject
from llamacpp.server.generation import FinishReason
from llamacpp.server.responses import ResponseEncoder
from llamacpp.server.sampling import TokenLogprob


class ToolAnswer:
    """What a reader of calls makes of one choice."""

    def __init__(self, reader: Reader, index: int) -> None:
        self._reader = reader
        self._index = index

    def chunks(
        self,
        encoder: ResponseEncoder,
        text: str,
        logprobs: list[TokenLogprob],
        *,
        is_last: bool,
    ) -> list[bytes]:
        """Server-sent events for the next text."""
        events = self._reader.feed(text)
        if is_last:
            events += self._reader.finish()
        found = []
        if logprobs:
            found.append(encoder.text_chunk(self._index, "", logprobs))
        for event in events:
            if isinstance(event, Content):
                found.append(encoder.text_chunk(self._index, event.text, []))
            elif isinstance(event, Thought):
                found.append(encoder.thought_chunk(self._index, event.text))
            else:
                found.append(encoder.tool_chunk(self._index, part_of_call(event)))
        return found

    def finish(self, finish: FinishReason) -> FinishReason:
        has_called = self._reader.calls and not self._reader.is_in_arguments
        return "tool_calls" if has_called and finish == "stop" else finish


class WholeAnswer:
    """All of a choice's text, split into what is said, thought and called."""

    def __init__(self, reader: Reader, text: str) -> None:
        said: list[str] = []
        thought: list[str] = []
        self.calls: list[JsonObject] = []
        arguments: list[list[str]] = []
        begun: list[CallBegin] = []
        for event in [*reader.feed(text), *reader.finish()]:
            if isinstance(event, Content):
                said.append(event.text)
            elif isinstance(event, Thought):
                thought.append(event.text)
            elif isinstance(event, CallBegin):
                begun.append(event)
                arguments.append([])
            else:
                arguments[event.number].append(event.text)
        self.content = "".join(said)
        self.thought = "".join(thought)
        self.is_whole = not reader.is_in_arguments
        for call, parts in zip(begun, arguments, strict=True):
            self.calls.append(whole_call(call, "".join(parts)))


def part_of_call(event: CallBegin | Arguments) -> JsonObject:
    if isinstance(event, Arguments):
        return {"index": event.number, "function": {"arguments": event.text}}
    return {"index": event.number, **whole_call(event, "")}


def whole_call(call: CallBegin, arguments: str) -> JsonObject:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.call_id, "type": "function", "function": function}
