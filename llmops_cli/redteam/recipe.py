"""What a red-team run asks for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llmops_cli.core.fields import Positive


class RedteamRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attacks on a served model. `suite` is quick, full, a plugin's name or a file; `guard` is
    default or a policy file. Prices are money for a million tokens.
    """

    backend: str = "llamacpp"
    model: str = "demo"
    url: str | None = None
    suite: str = "quick"
    families: list[str] = []
    seed: int = 0
    concurrency: Positive = 16
    max_attempts: Positive | None = None
    max_tokens: Positive = 128
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None
    retries: Annotated[int, msgspec.Meta(ge=0)] = 3
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    token_budget: Positive | None = None
    money_budget: Annotated[float, msgspec.Meta(gt=0)] | None = None
    price_in: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    price_out: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    twins: bool = True
    guard: str | None = None
    attacker_url: str | None = None
    attacker_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    api_key_env: str = "LLMOPS_API_KEY"
    options: dict[str, str] = {}
