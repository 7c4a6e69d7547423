"""What a token costs at each upstream, in one version of the configuration."""

from __future__ import annotations

import logging

from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.upstream import Rates
from llmops_cli.serve.context import Usage
from llmops_cli.serve.upstreams.candidate import RoutingCandidate

LOG = logging.getLogger("llmops.gateway")


class PriceTable:
    """Looked up once for each upstream and model."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Rates | None] = {}

    def of(self, candidate: RoutingCandidate) -> Rates | None:
        """None: nobody has said what a token costs there."""
        if candidate.upstream.config.price is None:
            return None
        key = (candidate.upstream.name, candidate.model)
        if key not in self._known:
            self._known[key] = _look_up(candidate)
        return self._known[key]

    def dollars(self, candidate: RoutingCandidate, usage: Usage) -> float:
        """What an answer has cost. Where there is no price it is counted as free."""
        rates = self.of(candidate)
        if rates is None:
            return 0.0
        return rates.cost(
            usage.input_tokens,
            usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            audio_input_tokens=usage.audio_input_tokens,
            audio_output_tokens=usage.audio_output_tokens,
        )


def _look_up(candidate: RoutingCandidate) -> Rates | None:
    price = candidate.upstream.config.price
    if price is None:
        return None
    if price != "genai":
        return price.rates()
    try:
        return public_price(candidate.model).rates()
    except LookupError:
        LOG.error("genai-prices does not know %s: it has no price", candidate.model)
        return None
