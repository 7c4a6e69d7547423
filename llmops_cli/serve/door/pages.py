"""Paths that are only read: the state of things, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door.respond import JSON
from llmops_cli.serve.endpoints import (
    DEPLOYMENTS,
    HEALTH,
    METRICS,
    MODEL,
    MODEL_PREFIX,
    MODELS,
    READY,
    STATE,
    PageEndpoint,
)
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.rollout.rollout import Rollout
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.metrics import CONTENT_TYPE
from llmops_cli.serve.watch.state import KeyPage

KEYS_MOST = 1000
"""On one page of the state."""
KEYS_EVER = 10_000_000
DIGITS_MOST = 9
FIELDS_MOST = 32

BEGINNING = "1970-01-01T00:00:00Z"
"""Of a model: nobody says when it was made."""


class PageAnswer(NamedTuple):
    body: bytes
    kind: bytes = JSON
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Pages:
    def __init__(
        self,
        console: Console,
        rollout: Rollout,
    ) -> None:
        self._console = console
        self._rollout = rollout

    async def read(
        self,
        page: PageEndpoint,
        path: str,
        query: bytes,
        snapshot: Snapshot,
        context: RequestContext,
    ) -> PageAnswer:
        """`path` and `query`: as they were asked for. Raises: Refusal."""
        if page is HEALTH:
            return PageAnswer(b'{"status":"ok"}')
        if page is READY:
            return _ready(snapshot)
        if page is METRICS:
            return PageAnswer(await self._console.metrics(), CONTENT_TYPE)
        if page is MODELS:
            return PageAnswer(await _models(snapshot, context.asked.key))
        if page is MODEL:
            name = unquote(path.removeprefix(MODEL_PREFIX))
            return PageAnswer(await _model(name, snapshot, context.asked.key))
        if page is STATE:
            return PageAnswer(await self._console.state(snapshot, key_page(query)))
        if page is DEPLOYMENTS:
            return PageAnswer(await self._rollout.status())
        body, kind, headers = self._console.page(page, snapshot)
        return PageAnswer(body, kind, headers=tuple(headers))

    async def change(self, body: bytes, context: RequestContext) -> PageAnswer:
        """Of a page that takes a body. Raises: Refusal."""
        return PageAnswer(await self._rollout.obey(body, context))


def key_page(query: bytes) -> KeyPage:
    """Of `keys=100&from=0`. Raises: Refusal for what is no such number."""
    try:
        given = dict(parse_qsl(query.decode("latin-1"), max_num_fields=FIELDS_MOST))
    except ValueError:
        raise Refusal(400, "the query has too many fields", code="invalid_query") from None
    usual = KeyPage()
    return KeyPage(
        most=_number(given, "keys", usual.most, KEYS_MOST),
        first=_number(given, "from", usual.first, KEYS_EVER),
    )


def _number(
    given: Mapping[str, str],
    name: str,
    default: int,
    most: int,
) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MOST):
        raise Refusal(400, f"{name} is a number from 0 to {most}", code="invalid_query")
    return min(int(text), most)


def _ready(snapshot: Snapshot) -> PageAnswer:
    if snapshot.ready():
        return PageAnswer(b'{"ready":true}')
    return PageAnswer(b'{"ready":false}', status=503)


async def _models(snapshot: Snapshot, key: Key) -> bytes:
    names = await _listed(snapshot, key)
    served = {name: model for name, model in names.items() if key.serves(model)}
    entries = [_entry(name, model, snapshot) for name, model in sorted(served.items())]
    ends = {"first_id": entries[0]["id"], "last_id": entries[-1]["id"]} if entries else {}
    page = {"object": "list", "data": entries, "has_more": False, **ends}
    return msgspec.json.encode(page)


async def _model(name: str, snapshot: Snapshot, key: Key) -> bytes:
    """One that the key may not use is not there. Raises: Refusal."""
    names = await _listed(snapshot, key)
    model = names.get(name)
    if model is None or not key.serves(model):
        raise snapshot.router.no_model(name, key.serves)
    return msgspec.json.encode(_entry(name, model, snapshot))


async def _listed(snapshot: Snapshot, key: Key) -> dict[str, str]:
    """Name -> model; a prompt with its model has a name too, and a key of prompts sees no other.

    Raises: Refusal if nobody can tell.
    """
    await snapshot.looked()
    names = snapshot.router.names()
    if not names:
        raise Refusal(503, "the upstream does not list its models", code="upstream_unavailable")
    prompts = snapshot.prompts.names(key)
    with_prompts = {name: model for name, model in prompts.items() if model in names}
    if key.prompts:
        return with_prompts
    return {**with_prompts, **{name: name for name in names}}


def _entry(name: str, model: str, snapshot: Snapshot) -> dict[str, str | int]:
    """As OpenAI's clients read it, and Anthropic's.

    vLLM and OpenRouter differ in the word for the tokens that fit.
    """
    entry: dict[str, str | int] = {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "llmops",
        "type": "model",
        "display_name": name,
        "created_at": BEGINNING,
    }
    tokens = snapshot.router.context_tokens(model)
    if tokens is not None:
        entry["max_model_len"] = tokens
        entry["context_length"] = tokens
    return entry
