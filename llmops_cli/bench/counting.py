"""How a server counts the tokens of a text."""

from __future__ import annotations

from llmops_cli.bench.answer import told_count
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.target import path_of
from llmops_cli.bench.tokens import Ask
from llmops_cli.runtime.http import Http

PATIENCE_S = 10.0


def token_counter(
    url: str,
    recipe: BenchRecipe,
    model: str,
    http: Http,
) -> tuple[Ask, bool]:
    """What to ask with, and whether asking is free (the server has /tokenize)."""
    server = _TokenQuestions(url, recipe, model, http)
    if server.by_tokenize("x") is not None:
        return server.by_tokenize, True
    alone = server.by_plain_tokenize("x")
    if alone is None:
        return server.by_usage, False
    around = server.by_usage("x")
    if around is None:
        return server.by_usage, False
    template = around - alone

    def by_plain_and_template(text: str) -> int | None:
        count = server.by_plain_tokenize(text)
        return None if count is None else count + template

    return by_plain_and_template, True


class _TokenQuestions:
    def __init__(
        self,
        url: str,
        recipe: BenchRecipe,
        model: str,
        http: Http,
    ) -> None:
        self._url = url
        self._recipe = recipe
        self._model = model
        self._http = http
        self._patience_s = min(PATIENCE_S, recipe.timeout_s)

    def _fields(self, text: str) -> dict[str, object]:
        if self._recipe.api == "chat":
            message = {"role": "user", "content": text}
            return {"model": self._model, "messages": [message]}
        return {"model": self._model, "prompt": text}

    def _probe(self, text: str) -> dict[str, object]:
        """The smallest request that has this text."""
        if self._recipe.api == "embeddings":
            return {"model": self._model, "input": text}
        return {**self._fields(text), "max_tokens": 1}

    def by_tokenize(self, text: str) -> int | None:
        """As vLLM has it: with the chat template."""
        url = f"{self._url}/tokenize"
        fields = self._fields(text)
        reply = self._http.post_json(url, fields, timeout_s=self._patience_s)
        if reply is None:
            return None
        return told_count(reply.get("count"))

    def by_plain_tokenize(self, text: str) -> int | None:
        """As llama-server has it: the text alone, without a chat template."""
        reply = self._http.post_json(
            f"{self._url}/tokenize", {"content": text}, timeout_s=self._patience_s
        )
        tokens = (reply or {}).get("tokens")
        if not isinstance(tokens, list) or not tokens:
            return None
        return len(tokens)

    def by_usage(self, text: str) -> int | None:
        """A request of one token."""
        recipe = self._recipe
        body = {**self._probe(text), **recipe.body}
        url = self._url + path_of(recipe)
        reply = self._http.post_json(url, body, timeout_s=recipe.timeout_s)
        if reply is None:
            return None
        usage = reply.get("usage")
        if not isinstance(usage, dict):
            return None
        return told_count(usage.get("prompt_tokens"))
