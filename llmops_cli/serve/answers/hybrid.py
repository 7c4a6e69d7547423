"""A small model answers first; its answer counts where it was sure of its words."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.gateway_file.model import HybridConfig
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.relay import OK, Relay
from llmops_cli.serve.answers.replay import give
from llmops_cli.serve.answers.usage import usage_of_whole
from llmops_cli.serve.context import Fields
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.exchange import NoAnswer
from llmops_cli.serve.upstreams.outcome import Outcome

STREAMED = ("stream", "stream_options")
_TRUE = msgspec.Raw(b"true")


class SmallModel:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def answer(self, request: AdmittedRequest, config: HybridConfig) -> bytes | None:
        """The small model's answer, if it was given to the client."""
        dispatcher = request.snapshot.dispatcher
        try:
            exchange = await dispatcher.open(config.small, request.context, _whole(request))
        except (NoAnswer, Refusal):
            return None
        exchange.end(Outcome.GOOD)
        raw = exchange.body or b""
        if exchange.reply.status != OK:
            return None
        self._relay.settle(request, exchange, usage_of_whole(raw, request.target))
        keeps_logprobs = "logprobs" in request.asked.fields
        body = sure_answer(raw, config.sure, keeps_logprobs=keeps_logprobs)
        if body is None:
            return None
        body = await self._relay.guarded(request, body)
        request.decided.headers.append((b"x-llmops-model", config.small.encode()))
        await give(request, body)
        return body


def _whole(request: AdmittedRequest) -> Fields:
    """The same question, for a whole answer with how sure each word was."""
    fields = {name: value for name, value in request.decided.fields.items() if name not in STREAMED}
    fields["logprobs"] = _TRUE
    return fields


def sure_answer(
    raw: bytes,
    sure: float,
    *,
    keeps_logprobs: bool,
) -> bytes | None:
    """An answer whose tokens have a mean probability of `sure` at least.

    None if they have not, or it does not tell.
    """
    try:
        whole = msgspec.json.decode(raw)
        choice = whole["choices"][0]
        probability = _mean_probability(choice)
    except (*UNREADABLE, KeyError, IndexError, TypeError):
        return None
    if choice.get("finish_reason") != "stop" or probability < sure:
        return None
    if not keeps_logprobs:
        del choice["logprobs"]
    return msgspec.json.encode(whole)


def _mean_probability(choice: dict[str, Any]) -> float:  # Any: OpenAI's fields
    logprobs = [token["logprob"] for token in choice["logprobs"]["content"]]
    if not logprobs:
        return 0.0
    return sum(map(math.exp, logprobs)) / len(logprobs)
