"""What a token costs at each upstream, in one version of the configuration."""

from __future__ import annotations

import logging

from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.upstream import TokenPrice
from llmops_cli.serve.upstreams.candidate import RoutingCandidate

LOG = logging.getLogger("llmops.gateway")
FREE = TokenPrice(0.0, 0.0)


class PriceTable:
    """Looked up once for each upstream and model."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], TokenPrice] = {}

    def of(self, candidate: RoutingCandidate) -> TokenPrice:
        """Dollars of one token in, and of one out."""
        if candidate.upstream.config.price is None:
            return FREE
        key = (candidate.upstream.name, candidate.model)
        found = self._known.get(key)
        if found is None:
            found = _look_up(candidate)
            self._known[key] = found
        return found


def _look_up(candidate: RoutingCandidate) -> TokenPrice:
    price = candidate.upstream.config.price
    if price is None:
        return FREE
    if price != "genai":
        return price.per_token()
    try:
        return public_price(candidate.model).per_token()
    except LookupError:
        LOG.error("genai-prices does not know %s: it counts as free", candidate.model)
        return FREE
