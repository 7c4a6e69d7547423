"""The bytes of answers, whole and streamed, in OpenAI's shapes."""

import time
import uuid
from typing import NamedTuple

import msgspec

from llamacpp.server.asgi import JsonObject
from llamacpp.server.generation import FinishReason, Generation
from llamacpp.server.logprobs import chat_logprobs, completion_logprobs
from llamacpp.server.sampling import TokenLogprob
from llamacpp.server.vocabulary import Vocabulary

DONE = b"data: [DONE]\n\n"
ASSISTANT_DELTA = b',"delta":{"role":"assistant","content":""}'
EMPTY_DELTA = b',"delta":{}'
EMPTY_TEXT = b',"text":""'


class Echo(NamedTuple):
    """A prompt that its answer begins with. `first`: its first token."""

    text: str
    first: int
    logprobs: list[TokenLogprob]
    is_scored: bool


class ResponseEncoder:
    """Writes one response; the parts of its chunks that never change are encoded once."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        chat: bool,
        model: str,
    ) -> None:
        self.chat = chat
        self._vocabulary = vocabulary
        self._model = model
        prefix = "chatcmpl" if chat else "cmpl"
        unique = uuid.uuid4().hex[:24]
        self._id = f"{prefix}-{unique}"
        self._created = int(time.time())
        kind = "chat.completion.chunk" if chat else "text_completion"
        head = self._head(kind)
        encoded = msgspec.json.encode(head)
        self._chunk_head = b"data: " + encoded[:-1]  # without its closing brace

    def _head(self, kind: str) -> JsonObject:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
        }

    def role_chunk(self, index: int) -> bytes:
        """Begins one choice of a chat."""
        return self._chunk(index, ASSISTANT_DELTA, b"null", b"null")

    def echo_chunk(self, index: int, echo: Echo) -> bytes:
        """The first event of a completion that repeats its prompt."""
        body = self._text_body(msgspec.json.encode(echo.text))
        logprobs = msgspec.json.encode(self._logprobs([], echo))
        return self._chunk(index, body, logprobs, b"null")

    def text_chunk(
        self,
        index: int,
        text: str,
        logprobs: list[TokenLogprob],
    ) -> bytes:
        """One server-sent event with text of one choice."""
        body = self._text_body(msgspec.json.encode(text))
        if not logprobs:
            return self._chunk(index, body, b"null", b"null")
        body_logprobs = self._logprobs(logprobs)
        encoded = msgspec.json.encode(body_logprobs)
        return self._chunk(index, body, encoded, b"null")

    def _text_body(self, content: bytes) -> bytes:
        if self.chat:
            return b',"delta":{"content":' + content + b"}"
        return b',"text":' + content

    def thought_chunk(self, index: int, text: str) -> bytes:
        """One server-sent event with a part of a chat's thoughts, as vLLM names them."""
        body = b',"delta":{"reasoning_content":' + msgspec.json.encode(text) + b"}"
        return self._chunk(index, body, b"null", b"null")

    def tool_chunk(self, index: int, call: JsonObject) -> bytes:
        """One server-sent event with a part of a call."""
        encoded = msgspec.json.encode([call])
        body = b',"delta":{"tool_calls":' + encoded + b"}"
        return self._chunk(index, body, b"null", b"null")

    def finish_chunk(self, index: int, reason: FinishReason) -> bytes:
        body = EMPTY_DELTA if self.chat else EMPTY_TEXT
        finish = msgspec.json.encode(reason)
        return self._chunk(index, body, b"null", finish)

    def _chunk(
        self,
        index: int,
        body: bytes,
        logprobs: bytes,
        finish: bytes,
    ) -> bytes:
        return b'%b,"choices":[{"index":%d%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (
            self._chunk_head,
            index,
            body,
            logprobs,
            finish,
        )

    def error_chunk(self, message: str) -> bytes:
        body = {"error": {"message": message}}
        raw = msgspec.json.encode(body)
        return b"data: " + raw + b"\n\n"

    def usage_chunk(self, usage: JsonObject) -> bytes:
        raw = msgspec.json.encode(usage)
        return self._chunk_head + b',"choices":[],"usage":' + raw + b"}\n\n"

    def choice(
        self,
        index: int,
        text: str,
        logprobs: list[TokenLogprob],
        finish: FinishReason,
        calls: list[JsonObject] | None = None,
        thought: str = "",
        echo: Echo | None = None,
    ) -> JsonObject:
        choice: JsonObject = {"index": index}
        if self.chat:
            choice["message"] = message_of(text, thought, calls or [])
        else:
            choice["text"] = text if echo is None else echo.text + text
        choice["logprobs"] = self._logprobs(logprobs, echo)
        choice["finish_reason"] = finish
        return choice

    def whole(self, choices: list[JsonObject], usage: JsonObject) -> bytes:
        kind = "chat.completion" if self.chat else "text_completion"
        body = self._head(kind)
        body["choices"] = choices
        body["usage"] = usage
        return msgspec.json.encode(body)

    def _logprobs(
        self,
        logprobs: list[TokenLogprob],
        echo: Echo | None = None,
    ) -> JsonObject | None:
        if echo is not None and echo.is_scored:
            every = [*echo.logprobs, *logprobs]
            return completion_logprobs(every, self._vocabulary, first=echo.first)
        if not logprobs:
            return None
        if self.chat:
            return chat_logprobs(logprobs, self._vocabulary)
        return completion_logprobs(logprobs, self._vocabulary)


def message_of(text: str, thought: str, calls: list[JsonObject]) -> JsonObject:
    """An assistant's, in OpenAI's form and with vLLM's field for thoughts."""
    message: JsonObject = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["content"] = text or None
        message["tool_calls"] = calls
    return message


def usage_of(generations: list[Generation]) -> JsonObject:
    """A prompt that several choices share is counted once, as OpenAI does."""
    prompts: dict[tuple[int, ...], Generation] = {}
    for generation in generations:
        tokens = generation.tokens[: generation.prompt_tokens]
        prompt = tuple(tokens)
        prompts.setdefault(prompt, generation)
    prompt_tokens = 0
    cached_tokens = 0
    for generation in prompts.values():
        prompt_tokens += generation.prompt_tokens
        cached_tokens += generation.cached_tokens or 0
    output_tokens = sum(generation.output_tokens for generation in generations)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }
