"""A body, read whole and within its limits, in the form that the gateway works with."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.disconnect import ClientGone
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.door.packed import coding_of, too_large, unpacked
from llmops_cli.serve.door.respond import Receive, Scope
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody

IMAGE_MARKS = (b'"image_url"', b'"input_image"', b'"base64"')
_decode_body = msgspec.json.Decoder(RequestBody).decode
_decode_fields = msgspec.json.Decoder(Fields).decode


async def received(
    scope: Scope,
    receive: Receive,
    *,
    most: int,
) -> bytes:
    """The body, unpacked if it was packed.

    Raises: Refusal for one that has, or unpacks to, more than `most` bytes; ClientGone.
    """
    coding = None
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > most:
            raise too_large(most)
        if name == b"content-encoding":
            coding = coding_of(value, before=coding)
    packed = await _whole(receive, most)
    if coding is None:
        return packed
    return await unpacked(packed, coding, most=most)


async def _whole(receive: Receive, most: int) -> bytes:
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def parse(
    body: bytes,
    asked: Asked,
    dialect: Dialect,
) -> bytes:
    """The body in OpenAI's form; what is read of it stands in `asked`. Raises: Refusal."""
    asked.body_bytes = len(body)
    asked.images = _images_in(body)
    try:
        plain = dialect.request(body)
        asked.body = _decode_body(plain)
        asked.fields = _decode_fields(plain)
    except msgspec.ValidationError as error:
        raise Refusal(400, str(error).replace("`", "'"), code="invalid_body") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is not JSON: {error}", code="invalid_json") from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deep", code="invalid_json") from None
    lack = asked.endpoint.lacks(asked.body)
    if lack is not None:
        raise Refusal(400, lack, code="invalid_body")
    if not asked.session and asked.body.user:
        asked.session = asked.body.user
    dialect.model = asked.body.model
    return plain


def _images_in(body: bytes) -> int:
    if b'"image' not in body and b'"input_image' not in body:
        return 0
    return sum(map(body.count, IMAGE_MARKS))
