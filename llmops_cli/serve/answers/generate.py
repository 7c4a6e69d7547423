"""Who answers: the model that was asked for, or one that stands in."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.hybrid import SmallModel
from llmops_cli.serve.answers.relay import Relay
from llmops_cli.serve.context import Fields
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.exchange import Failure, NoAnswer, UpstreamExchange
from llmops_cli.serve.watch.metrics import Metrics

OVERLOADED = "overloaded"
STOOD_IN_FOR = (OVERLOADED, "unsupported")
"""Its upstreams are full, or cannot do what is asked; those of another model may."""
_TRUE = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")
_decode_options = msgspec.json.Decoder(Fields | None).decode


class Generator:
    def __init__(self, relay: Relay, metrics: Metrics) -> None:
        self._relay = relay
        self._metrics = metrics
        self._small_model = SmallModel(relay)

    async def generate(self, request: AdmittedRequest, *, keeps: bool) -> bytes | None:
        """An answer is given to the client; what may be cached of it comes back.

        Raises: NoAnswer if nobody answers; Refusal.
        """
        hybrid = request.decided.settings.hybrid
        if hybrid is not None and request.target.logprobs:
            answer = await self._small_model.answer(request, hybrid)
            if answer is not None:
                return answer
        try:
            exchange = await _open(request, request.asked.body.model)
        except (NoAnswer, Refusal) as error:
            exchange = await self._stand_in(request, error)
            keeps = False
        return await self._relay.pass_on(request, exchange, keeps=keeps)

    async def _stand_in(
        self,
        request: AdmittedRequest,
        error: NoAnswer | Refusal,
    ) -> UpstreamExchange:
        """Another model's. Raises: NoAnswer; Refusal where that says more."""
        if isinstance(error, Refusal) and error.code not in STOOD_IN_FOR:
            raise error
        for name in request.decided.settings.fallback:
            if not request.asked.key.serves(name):
                continue
            try:
                exchange = await _open(request, name)
            except (NoAnswer, Refusal):
                continue
            self._metrics.fell_back(request.decided.alias, name)
            request.decided.headers.append((b"x-llmops-model", name.encode()))
            return exchange
        if isinstance(error, Refusal) and error.code == OVERLOADED and _has_others(request):
            raise NoAnswer(_failure_of(error))
        raise error


async def _open(request: AdmittedRequest, name: str) -> UpstreamExchange:
    """Raises: NoAnswer; Refusal."""
    dispatcher = request.snapshot.dispatcher
    return await dispatcher.open(name, request.context, _with_usage(request))


def _has_others(request: AdmittedRequest) -> bool:
    """Whether the file has models that stand in."""
    return bool(request.decided.settings.fallback)


def _failure_of(refusal: Refusal) -> Failure:
    return Failure(refusal.status, refusal.message, headers=tuple(refusal.headers))


def _with_usage(request: AdmittedRequest) -> Fields:
    """The body, its stream asked to tell the tokens at its end, beside what else it is to tell."""
    fields = request.decided.fields
    body = request.asked.body
    if not body.stream or request.target.choices is None or body.wants_usage:
        return fields
    given = fields.get("stream_options", _NULL)
    options = {**(_decode_options(given) or {}), "include_usage": _TRUE}
    return {**fields, "stream_options": msgspec.Raw(msgspec.json.encode(options))}
