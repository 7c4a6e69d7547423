"""A budget in dollars is nothing without prices: who has one, and for what there is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmops_cli.gateway_file.mistake import Mistake
from llmops_cli.gateway_file.pricing import unpriced
from llmops_cli.gateway_file.read import GatewayFile, read_file
from llmops_cli.serve.accounts.key import Key

PRICE_HINT = "price: {input: 0.5, output: 1.5} in dollars a million tokens, or 0 for both"


def refuse_unpriced(path: Path, keys: Iterable[Key]) -> None:
    """Raises: UsageError with the upstream's line."""
    file = read_file(path)
    for key in keys:
        if key.budget_dollars is not None:
            _refuse_unpriced(file, key)


def _refuse_unpriced(file: GatewayFile, key: Key) -> None:
    for model, upstream in unpriced(file.config, key.models):
        what = f"model {model} has no price here" if model else "this upstream has no price"
        mistake = Mistake(
            ("upstreams", upstream),
            f"key {key.name} has a budget in dollars, and {what}",
            PRICE_HINT,
        )
        raise file.document.error(mistake)
