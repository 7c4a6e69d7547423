"""When a stream has begun to say something."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.upstreams.errors import Blame, EndedEarly, ErrorInStream, MalformedAnswer
from llmops_cli.serve.upstreams.reply import Reply

PREAMBLE_MOST = 4096
SAID = (
    b"content",
    b"text",
    b"reasoning_content",
    b"reasoning",
    b"refusal",
    b"delta",
    b"arguments",
    b"name",
)
FIELDS = (*SAID, b"finish_reason")


def _not_empty(fields: tuple[bytes, ...]) -> re.Pattern[bytes]:
    return re.compile(rb'"(?:' + b"|".join(fields) + rb')": ?"[^"]')


WORDS = _not_empty(FIELDS)
"""The first of these that is not empty is what a client waits for."""
ANY_SAID = _not_empty(SAID)
ENDS = (b'"finish_reason":"', b'"finish_reason": "', b"[DONE]")
ERRORS = (b'data:{"error"', b'data:{"object":"error"', b"event:error")
DATA = re.compile(rb"^data: ?(.*?)$", re.MULTILINE)


class _Told(msgspec.Struct):
    code: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _Failure(msgspec.Struct):
    """`object` is "error" where the error's fields stand beside it, as older servers have them."""

    error: _Told | str | None = None
    object: msgspec.Raw = msgspec.Raw(b"null")
    code: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _FailedResponse(msgspec.Struct):
    error: _Told | None = None


class _FailedEvent(msgspec.Struct):
    """Of a stream of responses: `error`, whose code is its own, or `response.failed`."""

    code: msgspec.Raw = msgspec.Raw(b"null")
    error: _Told | None = None
    response: _FailedResponse | None = None


FLAT_ERROR = b'"error"'
REQUESTS_OWN = frozenset(
    (
        b"bio_policy",
        b"data_residency_mismatch",
        b"empty_image_file",
        b"failed_to_download_image",
        b"image_content_policy_violation",
        b"image_file_not_found",
        b"image_file_too_large",
        b"image_parse_error",
        b"image_too_large",
        b"image_too_small",
        b"invalid_base64_image",
        b"invalid_image",
        b"invalid_image_format",
        b"invalid_image_mode",
        b"invalid_image_url",
        b"invalid_prompt",
        b"unsupported_image_media_type",
    )
)
"""Codes of a response that failed by what was asked. Source: openai 3.54, types/responses."""
_decode = msgspec.json.Decoder(_Failure).decode
_decode_event = msgspec.json.Decoder(_FailedEvent).decode


async def begin_stream(
    reply: Reply,
    *,
    held: bool,
    has_choices: bool,
) -> None:
    """Until it may be passed on. `held`: that is when it says something.

    An event that only names the role is no token. `has_choices`: its end is told by a reason, or
    [DONE]. Raises: UpstreamError.
    """
    if held:
        await _first_words(reply)
    begun = reply.peek()
    if not begun:
        raise MalformedAnswer("the stream is empty")
    if says_error(begun):
        raise _error_of(begun)
    if not has_choices or not reply.complete:
        return
    if not WORDS.search(begun) and not _has_end(begun):
        raise EndedEarly


async def _first_words(reply: Reply) -> None:
    while True:
        begun = reply.peek()
        if len(begun) > PREAMBLE_MOST or WORDS.search(begun) or says_error(begun):
            return
        if not await reply.more():
            return


def _has_end(events: bytes) -> bool:
    return any(end in events for end in ENDS)


def ends_without_words(begun: bytes) -> bool:
    """A held stream that comes to its end at once: a finish where words were waited for."""
    return len(begun) <= PREAMBLE_MOST and not ANY_SAID.search(begun) and _has_end(begun)


def says_error(begun: bytes) -> bool:
    """A stream whose first event is an error, told under a status of 200."""
    head = begun[:64].replace(b" ", b"")
    return head.startswith(ERRORS)


def _error_of(events: bytes) -> ErrorInStream:
    for data in DATA.findall(events):
        found = error_in(data)
        if found is not None:
            return found
    return ErrorInStream(500, b"")


def error_in(data: bytes) -> ErrorInStream | None:
    """The error that an event, or an answer, tells; None if it tells none."""
    try:
        found = _decode(data)
    except UNREADABLE:
        return ErrorInStream(500, data)
    told: _Told | str | None = found.error
    if told is None and bytes(found.object) == FLAT_ERROR:
        told = _Told(code=found.code, status=found.status)
    if told is None:
        return None
    if isinstance(told, _Told):
        for value in (told.status, told.code):
            digits = bytes(value)
            if len(digits) == 3 and digits.isdigit():
                return ErrorInStream(int(digits), data)
    return ErrorInStream(500, data)


def failure_in(data: bytes) -> ErrorInStream:
    """Of an event `error` or `response.failed`, in a stream of responses."""
    failure = ErrorInStream(500, data)
    try:
        found = _decode_event(data)
    except UNREADABLE:
        return failure
    told = found.error or (found.response and found.response.error)
    code = told.code if told else found.code
    if bytes(code).strip(b'"') in REQUESTS_OWN:
        failure.blame = Blame.CLIENT
    return failure
