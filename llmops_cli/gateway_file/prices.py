"""Prices of the public table, which ships with genai-prices: nothing is asked on the network."""

from __future__ import annotations

from llmops_cli.gateway_file.upstream import MILLION, LongPrice, Price

SHORT_TOKENS = 1_000
LONG_TOKENS = MILLION
"""More than any model takes at its ordinary price."""


def public_price(model: str) -> Price:
    """Raises: LookupError for a model that the table does not know; ImportError without it."""
    short = _price_at(model, SHORT_TOKENS)
    long = _price_at(model, LONG_TOKENS)
    if long == short:
        return short
    return Price(
        input=short.input,
        output=short.output,
        cached_input=short.cached_input,
        cache_write=short.cache_write,
        audio_input=short.audio_input,
        audio_output=short.audio_output,
        long=LongPrice(
            above=_last_at(model, short),
            input=long.input or 0.0,
            output=long.output or 0.0,
            cached_input=long.cached_input,
            cache_write=long.cache_write,
        ),
    )


def _price_at(model: str, prompt_tokens: int) -> Price:
    """Of requests with prompts of that length."""
    from genai_prices import Usage, calc_price

    read = calc_price(Usage(input_tokens=prompt_tokens), model_ref=model)
    written = calc_price(
        Usage(input_tokens=prompt_tokens, output_tokens=MILLION),
        model_ref=model,
    )
    cached = calc_price(
        Usage(input_tokens=prompt_tokens, cache_read_tokens=prompt_tokens),
        model_ref=model,
    )
    kept = calc_price(
        Usage(input_tokens=prompt_tokens, cache_write_tokens=prompt_tokens),
        model_ref=model,
    )
    heard = calc_price(
        Usage(input_tokens=prompt_tokens, input_audio_tokens=prompt_tokens),
        model_ref=model,
    )
    spoken = calc_price(
        Usage(input_tokens=prompt_tokens, output_tokens=MILLION, output_audio_tokens=MILLION),
        model_ref=model,
    )
    share = MILLION / prompt_tokens
    return Price(
        input=float(read.input_price) * share,
        output=float(written.output_price),
        cached_input=float(cached.input_price) * share,
        cache_write=float(kept.input_price) * share,
        audio_input=float(heard.input_price) * share,
        audio_output=float(spoken.output_price),
    )


def _last_at(model: str, price: Price) -> int:
    """The longest prompt at that price."""
    least = SHORT_TOKENS
    most = LONG_TOKENS
    while most - least > 1:
        middle = (least + most) // 2
        if _price_at(model, middle).output == price.output:
            least = middle
        else:
            most = middle
    return least
