"""Which requests may be personal."""

from __future__ import annotations

import base64
import time
from typing import Any

import msgspec
import pytest

from llmops_cli.serve.context import Asked
from llmops_cli.serve.privacy import is_personal, may_be_personal

CARD = "4111 1111 1111 1111"
MAIL = "bob@example.com"


def asked(**body: Any) -> Asked:
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
    return Asked(route="", id="", start=0.0, fields=fields, values=body)


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        MAIL,
        CARD.replace(" ", "\u200b "),
        "4111\u200b1111\u200b1111\u200b1111",
        "bob@exam\u00adple.com",
        "\uff42\uff4f\uff42\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d",
        "\U0001d7d2\U0001d7cf\U0001d7cf\U0001d7cf" + " 1111" * 3,
        "&#98;ob&#64;example.com",
        "bob%40example.com",
        base64.b64encode(f"My card is {CARD}".encode()).decode(),
        base64.urlsafe_b64encode(f"mail {MAIL} ??>".encode()).decode(),
    ],
)
def test_what_a_reader_means_counts(text: str) -> None:
    assert is_personal(text)
    assert may_be_personal(asked(messages=[{"role": "user", "content": text}]))


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "What is 3 times 4?",
        "The server is 10.0.0.1",
        "a & b; 100% of c",
        "internationalization",
        "sha256 of it is e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
)
def test_what_is_nobody_s_does_not(text: str) -> None:
    assert not is_personal(text)
    assert not may_be_personal(asked(messages=[{"role": "user", "content": text}]))


@pytest.mark.parametrize(
    "body",
    [
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"arguments": '{"to": "bob\\u0040example.com"}'}}],
                }
            ]
        },
        {"messages": [], "user": MAIL},
        {"messages": [], "metadata": {MAIL: "x"}},
        {"messages": [], "metadata": {"card": 4111111111111111}},
        {"messages": [{"role": "user", "content": [{"type": "new", "x": 1}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hi"},
                        {"type": "image_url", "image_url": {"url": "x"}},
                    ],
                }
            ]
        },
        {"prompt": [1, 2]},
        {"prompt": [[1, 2]]},
        {"tokens": [1, 2]},
        {"prompt": "Hi", "prompt_embeds": "AAAA"},
        {"input": "data:image/png;base64,AAAA"},
        {},
    ],
)
def test_every_field_counts_and_what_cannot_be_read(body: dict[str, Any]) -> None:
    assert may_be_personal(asked(**body))


def test_what_is_cut_into_parts_counts() -> None:
    parts = [{"type": "text", "text": text} for text in ("jane@exa", "mple.org")]
    assert may_be_personal(asked(messages=[{"role": "user", "content": parts}]))
    assert not may_be_personal(asked(messages=[{"role": "user", "content": parts[:1]}]))


def test_json_that_only_an_upstream_may_read_is_private() -> None:
    found = asked(prompt="Hi")
    found.fields["x"] = msgspec.Raw(b"[" * 5000 + b"]" * 5000)
    assert may_be_personal(found)
    found.fields["x"] = msgspec.Raw(b"1e400")
    assert may_be_personal(found)


@pytest.mark.quiet
@pytest.mark.parametrize("piece", ["word ", "QUJDREVG", "%41&#65;", "1234 ", "\u200ba", "aB3_-"])
def test_reading_is_linear(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    start = time.perf_counter()
    is_personal(text)
    assert time.perf_counter() - start < 1.0, "0.5 ms a KB would be 0.1 s"
