"""What the gateway knows of each path."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from llmops_cli.gateway_file.config import EndpointGroup
from llmops_cli.serve.accounts.keys import ROLES
from llmops_cli.serve.door.openapi import document
from llmops_cli.serve.endpoints import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    ENDPOINTS,
    MESSAGES,
    PAGES,
    RESPONSES,
    Endpoint,
    dialect_at,
)
from llmops_cli.serve.fields import READ, limits_in
from llmops_cli.serve.passed_endpoints import GROUPS, KNOWN, PASSED, endpoints_of
from llmops_cli.serve.request import RequestBody

FIELDS = {field.name for field in msgspec.structs.fields(RequestBody)}


@pytest.mark.parametrize("endpoint", KNOWN.values(), ids=KNOWN)
def test_every_endpoint_knows_its_fields(endpoint: Endpoint) -> None:
    assert set(endpoint.required) <= set(endpoint.fields)
    assert endpoint.prompt in FIELDS, "what is answered is read by its name"
    if endpoint.prompt != "model":
        assert endpoint.fields[endpoint.prompt].carries in READ, "what is answered is judged"
    assert any(field.carries in READ for field in endpoint.fields.values())
    assert endpoint.answer_limits == limits_in(endpoint.fields)
    assert set(endpoint.answer_limits) <= FIELDS, "what bounds an answer is read"
    if endpoint.bound is not None:
        assert endpoint.bound in endpoint.answer_limits, "a bound of ours is one that counts"


def body_of(**fields: object) -> RequestBody:
    return msgspec.convert({"model": "m", **fields}, RequestBody)


def test_the_larger_of_two_bounds_counts() -> None:
    """Servers differ in which of them they obey."""
    body = body_of(max_tokens=5, max_completion_tokens=3, max_output_tokens=7)
    assert CHAT.answer_tokens(body) == 5
    assert COMPLETIONS.answer_tokens(body) == 5
    assert RESPONSES.answer_tokens(body) == 7
    assert EMBEDDINGS.answer_tokens(body) is None


@pytest.mark.parametrize(
    ("endpoint", "fields", "lack"),
    [
        (CHAT, {"model": "", "messages": [{}]}, "the body has no model"),
        (CHAT, {}, "a chat needs messages"),
        (CHAT, {"messages": []}, "a chat needs messages"),
        (CHAT, {"messages": [{}]}, None),
        (COMPLETIONS, {"input": "x"}, "a completion needs a prompt"),
        (COMPLETIONS, {"prompt": ""}, None),
        (EMBEDDINGS, {}, "/v1/embeddings needs an input"),
        (RESPONSES, {"input": []}, None),
        (COMPLETIONS, {"prompt": None}, "a completion needs a prompt"),
    ],
)
def test_what_a_body_lacks(
    endpoint: Endpoint,
    fields: dict[str, object],
    lack: str | None,
) -> None:
    assert endpoint.lacks(body_of(**fields)) == lack


def test_a_translated_endpoint_is_another_one_upstream() -> None:
    assert MESSAGES.target is CHAT
    assert CHAT.target is CHAT
    assert dialect_at("/v1/messages/none").wants_usage
    assert dialect_at("/v1/none").is_plain


def test_the_document_has_every_path() -> None:
    assert set(document(ENDPOINTS)["paths"]) == {*ENDPOINTS, *PAGES}
    assert set(document(KNOWN)["paths"]) == {*ENDPOINTS, *PASSED, *PAGES}
    assert endpoints_of(["score"]).keys() - ENDPOINTS.keys() == {"/score", "/v1/score"}


def test_the_file_can_name_every_group() -> None:
    assert set(GROUPS) == set(get_args(EndpointGroup))


def test_an_ordinary_key_may_ask_everywhere() -> None:
    """A right that no role has would be 403 for everybody."""
    assert {endpoint.right for endpoint in KNOWN.values()} <= set(ROLES["user"])
