"""Where a model answers: its address, its dialect, the key for that place alone, and its prices."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.prices import Prices
from llmops_cli.core.urls import server_url
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer

Dialect = Literal["openai", "anthropic"]
FREE = Prices()
ANSWER_TIMEOUT_S = 10.0
ANTHROPIC_VERSION = "2023-06-01"

Message = dict[str, Any]  # Any: a text, parts, or a model's calls of tools
"""One message of a conversation, in OpenAI's form."""


def message(role: str, content: str) -> Message:
    """One message of a conversation."""
    return {"role": role, "content": content}


class ChatEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model answers, and the key for that place alone.

    `kept_under`: what stands for the address in keys of kept answers. An engine of ours has
    another address with each start, and another model may have that one next.
    """

    url: str
    model: str
    key: str = ""
    dialect: Dialect = "openai"
    prices: Prices = FREE
    kept_under: str = ""

    def __repr__(self) -> str:
        return f"ChatEndpoint(url={self.url!r}, model={self.model!r})"

    def credentials(self) -> dict[str, str]:
        """The headers that carry the key, and the version that Anthropic's dialect wants."""
        if self.dialect == "openai":
            return bearer(self.key)
        headers = {"anthropic-version": ANTHROPIC_VERSION}
        if self.key:
            headers["x-api-key"] = self.key
        return headers


def chat_endpoint(
    url: str,
    model: str,
    *,
    key: str = "",
    field: str = "url",
    dialect: Dialect = "openai",
    prices: Prices = FREE,
) -> ChatEndpoint:
    """An endpoint by its base URL, with or without /v1.

    `field` names the URL in errors. Raises: UsageError for no http(s) URL, or one with secrets.
    """
    base = server_url(url, field=field)
    return ChatEndpoint(url=base, model=model, key=key, dialect=dialect, prices=prices)


def require_answer(endpoint: ChatEndpoint, *, field: str = "url") -> None:
    """Raises: EnvironmentMissing if nothing listens there; any answer will do."""
    http = Http(endpoint.credentials())
    status = http.status(f"{endpoint.url}/v1/models", timeout_s=ANSWER_TIMEOUT_S)
    if isinstance(status, str):
        flag = field.replace("_", "-")
        raise EnvironmentMissing(
            f"nothing answers at {endpoint.url}: {status}",
            hint=f"start the server, or check --{flag}",
        )
