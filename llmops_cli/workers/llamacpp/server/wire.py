"""Request bodies, their checks, and the bytes of responses, in OpenAI's shapes."""

import json
import time
from typing import Annotated, Any

import msgspec
from llama_cpp.llama_grammar import JSON_GBNF, json_schema_to_gbnf

from llamacpp.server.sampling import SamplingParams, TokenLogprob

Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class StreamOptions(msgspec.Struct, kw_only=True):
    include_usage: bool = False


class Common(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. Unknown ones are ignored, as OpenAI's clients expect of a
    compatible server.
    """

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    top_p: Ratio | None = None
    top_k: int | None = None
    min_p: Ratio | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[int, float] | None = None
    ignore_eos: bool = False
    response_format: dict[str, Any] | None = None
    grammar: str | None = None


class ChatRequest(Common, kw_only=True):
    messages: list[dict[str, Any]]
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    chat_template_kwargs: dict[str, Any] = {}


class CompletionRequest(Common, kw_only=True):
    prompt: str | list[str | int | list[int]] = ""
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    echo: bool = False


class TokenizeRequest(msgspec.Struct, kw_only=True):
    """`content` is llama-server's name, `prompt` vLLM's."""

    content: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_special_tokens: bool = True


class BadRequest(ValueError):
    """Answered with 400 and this message."""


def sampling_of(request: Common, top_logprobs: int, vocab_size: int) -> SamplingParams:
    """Raises: BadRequest for a grammar, schema or token id that cannot be used."""
    bias = request.logit_bias or {}
    for token in bias:
        if not 0 <= token < vocab_size:
            raise BadRequest(
                f"logit_bias: token {token} is not in the vocabulary (0 to {vocab_size - 1})"
            )
    given = {
        name: value
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
            "seed",
        )
        if (value := getattr(request, name)) is not None
    }
    return SamplingParams(
        **given,
        logit_bias=bias,
        ignore_eos=request.ignore_eos,
        grammar=grammar_of(request),
        top_logprobs=top_logprobs,
    )


def grammar_of(request: Common) -> str | None:
    if request.grammar:
        return request.grammar
    kind = (request.response_format or {"type": "text"}).get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return str(JSON_GBNF)
    if kind == "json_schema":
        holder = request.response_format.get("json_schema") or request.response_format
        schema = holder.get("schema")
        if not isinstance(schema, dict):
            raise BadRequest("response_format: json_schema.schema is missing")
        try:
            return str(json_schema_to_gbnf(json.dumps(schema)))
        except Exception as error:  # whatever the converter meets in a schema it does not know
            raise BadRequest(
                f"response_format: this schema cannot become a grammar: {error}"
            ) from error
    raise BadRequest(
        f"response_format: unknown type {kind!r}; known: text, json_object, json_schema"
    )


def stops_of(request: Common) -> list[str]:
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if len(stops) > 16:
        raise BadRequest("stop: at most 16 strings")
    return stops


def usage_of(prompt_tokens: int, output_tokens: int, cached_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


class Shape:
    """How one response's chunks look; the parts that never change are encoded once."""

    def __init__(self, *, chat: bool, identity: str, model: str) -> None:
        self.chat = chat
        self.identity = identity
        self.model = model
        self.created = int(time.time())
        kind = "chat.completion.chunk" if chat else "text_completion"
        head = {"id": identity, "object": kind, "created": self.created, "model": model}
        self._head = b"data: " + msgspec.json.encode(head)[:-1]

    def chunk(
        self, index: int, text: str, logprobs: Any, finish: str | None, *, role: bool = False
    ) -> bytes:
        """One SSE event of one choice."""
        encode = msgspec.json.encode
        if self.chat:
            delta = (
                {"role": "assistant", "content": ""}
                if role
                else ({"content": text} if text or not finish else {})
            )
            body = b',"delta":' + encode(delta)
        else:
            body = b',"text":' + encode(text)
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":%d' % index,
                body,
                b',"logprobs":',
                encode(logprobs),
                b',"finish_reason":',
                encode(finish),
                b"}]}\n\n",
            )
        )

    def usage_chunk(self, usage: dict[str, Any]) -> bytes:
        return self._head + b',"choices":[],"usage":' + msgspec.json.encode(usage) + b"}\n\n"

    def whole(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> bytes:
        kind = "chat.completion" if self.chat else "text_completion"
        head = {"id": self.identity, "object": kind, "created": self.created, "model": self.model}
        return msgspec.json.encode({**head, "choices": choices, "usage": usage})

    def choice(self, index: int, text: str, logprobs: Any, finish: str) -> dict[str, Any]:
        content = (
            {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        )
        return {"index": index, **content, "logprobs": logprobs, "finish_reason": finish}


def chat_logprobs(entries: list[TokenLogprob], piece: Any) -> dict[str, Any]:
    def one(token: int, logprob: float) -> dict[str, Any]:
        raw = piece(token, special=True)
        return {"token": raw.decode(errors="replace"), "logprob": logprob, "bytes": list(raw)}

    return {
        "content": [
            {
                **one(e.token, e.logprob),
                "top_logprobs": [one(token, value) for token, value in e.top],
            }
            for e in entries
        ]
    }


def completion_logprobs(entries: list[TokenLogprob], piece: Any) -> dict[str, Any]:
    def text(token: int) -> str:
        return str(piece(token, special=True).decode(errors="replace"))

    return {
        "tokens": [text(e.token) for e in entries],
        "token_logprobs": [e.logprob for e in entries],
        "top_logprobs": [{text(token): value for token, value in e.top} for e in entries],
    }
