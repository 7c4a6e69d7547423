"""What others take for the same model by the token: genai-prices' table, which ships with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.sizing.cost import MILLION

MOST_OFFERS = 5
"""That are shown unasked: the cheapest."""


class ApiOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request of those lengths, as listed today."""

    name: str
    usd_per_request: float
    source: str


def offers_named(
    names: Sequence[str],
    *,
    prompt_tokens: int,
    output_tokens: int,
) -> tuple[ApiOffer, ...]:
    """Each PROVIDER/MODEL, or a model of which the table knows the provider.

    Raises: UsageError for one that is not in the table; EnvironmentMissing without the table.
    """
    found = []
    for name in names:
        provider, _, model = name.partition("/")
        offer = None
        if model and provider in _provider_names():
            offer = _offer(provider, model, prompt_tokens, output_tokens)
        offer = offer or _offer(None, name, prompt_tokens, output_tokens)
        if offer is None:
            raise UsageError(
                f"no price of '{name}' in the public table", hint="PROVIDER/MODEL: groq/NAME"
            )
        found.append(offer)
    return tuple(found)


def offers_of(
    model: str,
    *,
    prompt_tokens: int,
    output_tokens: int,
) -> tuple[ApiOffer, ...]:
    """Of a public model's name at whoever lists it, the cheapest; free ones are no offer.

    Raises: EnvironmentMissing without the table.
    """
    found: dict[tuple[str, float], ApiOffer] = {}
    for provider, identity in _listed(model):
        offer = _offer(provider, identity, prompt_tokens, output_tokens)
        if offer is not None and offer.usd_per_request > 0:
            found.setdefault((provider, offer.usd_per_request), offer)
    ordered = sorted(found.values(), key=lambda offer: offer.usd_per_request)
    return tuple(ordered[:MOST_OFFERS])


def _table() -> Any:  # Any: genai-prices' own types
    """Raises: EnvironmentMissing."""
    try:
        import genai_prices.data
    except ImportError:
        raise EnvironmentMissing(
            "API prices need genai-prices", hint="pip install 'llmops-cli[prices]'"
        ) from None
    return genai_prices.data.providers


def _provider_names() -> set[str]:
    return {str(provider.id) for provider in _table()}


def _listed(model: str) -> Iterator[tuple[str, str]]:
    """Providers and their names of it: `meta-llama-3.1-8b-instruct-fp8`, not a tune of it."""
    name = model.lower().rpartition("/")[2]
    pattern = re.compile(rf"(?:meta-)?{re.escape(name)}(?:[-:@_].*)?")
    for provider in _table():
        for each in provider.models:
            own = str(each.id).lower().rpartition("/")[2]
            if pattern.fullmatch(own) and not each.deprecated:
                yield str(provider.id), str(each.id)


def _offer(
    provider: str | None,
    model: str,
    prompt_tokens: int,
    output_tokens: int,
) -> ApiOffer | None:
    """None where the table has no price a token."""
    from importlib.metadata import version

    _table()
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=prompt_tokens, output_tokens=output_tokens)
    try:
        price = calc_price(usage, model_ref=model, provider_id=provider)
    except (LookupError, ValueError, TypeError):
        return None
    name = f"{price.provider.id}/{price.model.id}"
    return ApiOffer(
        name=name,
        usd_per_request=float(price.total_price),
        source=f"genai-prices {version('genai-prices')}",
    )


def usd_per_million_tokens(offer: ApiOffer, tokens: int) -> float:
    """Of all tokens of a request, read and written."""
    return offer.usd_per_request / tokens * MILLION
