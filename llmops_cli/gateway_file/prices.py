"""Prices of the public table, which ships with genai-prices: nothing is asked on the network."""

from __future__ import annotations

from llmops_cli.gateway_file.upstream import MILLION, Price


def public_price(model: str) -> Price:
    """Raises: LookupError for a model that the table does not know; ImportError without it."""
    from genai_prices import Usage, calc_price

    read = Usage(input_tokens=MILLION)
    written = Usage(output_tokens=MILLION)
    prompt = calc_price(read, model_ref=model)
    answer = calc_price(written, model_ref=model)
    return Price(
        input=float(prompt.input_price),
        output=float(answer.output_price),
    )
