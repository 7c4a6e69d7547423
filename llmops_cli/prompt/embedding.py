"""Vectors of texts by an endpoint of the OpenAI form."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.chat import ChatEndpoint
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer

AT_ONCE = 64
TIMEOUT_S = 120.0


class Embedding:
    """`await embedding(texts)`: a vector a text. Raises: EnvironmentMissing without an answer."""

    def __init__(self, endpoint: ChatEndpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._all, texts)

    def _all(self, texts: Sequence[str]) -> list[list[float]]:
        http = Http(bearer(self._endpoint.key))
        vectors: list[list[float]] = []
        for begin in range(0, len(texts), AT_ONCE):
            vectors += self._some(http, texts[begin : begin + AT_ONCE])
        return vectors

    def _some(self, http: Http, texts: Sequence[str]) -> list[list[float]]:
        body = {"model": self._endpoint.model, "input": list(texts)}
        url = f"{self._endpoint.url}/v1/embeddings"
        reply = http.post_json(url, body, timeout_s=TIMEOUT_S)
        vectors = _vectors(reply)
        if len(vectors) != len(texts):
            raise EnvironmentMissing(
                f"{self._endpoint.url} gave {len(vectors)} vectors for {len(texts)} texts",
                hint="check --embedding-url and --embedding-model",
            )
        return vectors


def _vectors(reply: Any) -> list[list[float]]:  # Any: JSON of a server
    try:
        items = sorted(reply["data"], key=lambda item: item["index"])
        return [[float(part) for part in item["embedding"]] for item in items]
    except (KeyError, TypeError, ValueError):
        return []
