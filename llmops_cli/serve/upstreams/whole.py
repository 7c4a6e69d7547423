"""Whether a whole answer is one: of the endpoint's form, and not an error under a status of 200."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.errors import MalformedAnswer
from llmops_cli.serve.upstreams.first_words import FLAT_ERROR, error_in

LARGE_BYTES = 4 << 20
"""What is larger is not read whole, which takes 1 to 2 ms a MB: an error is never so long.

Its brackets are not followed either. What breaks in the middle of a vector or an image, a gap or
bytes of another place, leaves them as they are; its length is held by the connection.
"""
CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\{')
NULL = b"null"
EDGE_BYTES = 1024
NO_WORDS = (b'""', NULL, b"[]")


class _WholeAnswer(msgspec.Struct):
    """What an answer has to have, or should not.

    Raw alone: in a union it would be nothing but null.
    """

    choices: list[msgspec.Raw] | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    object: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def tells_error(self) -> bool:
        return bytes(self.error) != NULL or bytes(self.object) == FLAT_ERROR


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")
    reasoning_content: msgspec.Raw = msgspec.Raw(b"null")
    reasoning: msgspec.Raw = msgspec.Raw(b"null")
    refusal: msgspec.Raw = msgspec.Raw(b"null")
    tool_calls: msgspec.Raw = msgspec.Raw(b"null")
    function_call: msgspec.Raw = msgspec.Raw(b"null")
    audio: msgspec.Raw = msgspec.Raw(b"null")


class _Choice(msgspec.Struct):
    text: msgspec.Raw = msgspec.Raw(b"null")
    message: _Message | None = None


class _Choices(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_WholeAnswer).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_choices = msgspec.json.Decoder(_Choices).decode


def check_whole(body: bytes, headers: Headers, *, has_choices: bool) -> None:
    """Raises: UpstreamError for what is no answer. A large one is looked at by its ends alone."""
    if len(body) > LARGE_BYTES:
        _check_large(body, headers, has_choices=has_choices)
        return
    try:
        answer = _decode(body)
    except UNREADABLE:
        if not has_choices and _is_list(body):
            return
        raise MalformedAnswer(_kind_of(body, headers)) from None
    if has_choices and answer.choices:
        return
    failure = error_in(body) if answer.tells_error else None
    if failure is not None:
        raise failure
    if has_choices:
        raise MalformedAnswer("there are no choices in it")


def _check_large(body: bytes, headers: Headers, *, has_choices: bool) -> None:
    """Raises: MalformedAnswer."""
    begins = body[:EDGE_BYTES].lstrip()[:1]
    ends = body[-EDGE_BYTES:].rstrip()[-1:]
    is_object = (begins, ends) == (b"{", b"}")
    is_list = (begins, ends) == (b"[", b"]")
    if not is_object and (has_choices or not is_list):
        raise MalformedAnswer(_kind_of(body, headers))
    if has_choices and CHOICES.search(body) is None:
        raise MalformedAnswer("there are no choices in it")


def _is_list(body: bytes) -> bool:
    """As text-embeddings-inference answers /rerank."""
    try:
        _decode_list(body)
    except UNREADABLE:
        return False
    return True


def _kind_of(body: bytes, headers: Headers) -> str:
    """What stands in JSON's place."""
    if not body[:EDGE_BYTES].strip() and not body.strip():
        return "it is empty"
    kind = dict(headers).get(b"content-type", b"").partition(b";")[0].strip()
    if kind and kind != b"application/json":
        return f"{kind[:40].decode('latin-1')} where JSON was expected"
    return "it is not the JSON of an answer"


def says_nothing(body: bytes) -> bool:
    """Choices without a word, a call or anything else in them."""
    if len(body) > LARGE_BYTES:
        return False
    try:
        choices = _decode_choices(body).choices
    except UNREADABLE:
        return False
    return all(_is_empty(choice) for choice in choices)


def _is_empty(choice: _Choice) -> bool:
    values = [choice.text]
    if choice.message is not None:
        values += msgspec.structs.astuple(choice.message)
    return all(bytes(value) in NO_WORDS for value in values)
