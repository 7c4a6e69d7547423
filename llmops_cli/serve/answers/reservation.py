"""What a request can cost at most, for keys that have a budget."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.refusal import Refusal

DENSE = 2
"""Dense text has a token every two bytes, twice as many as the usual estimate."""


def has_budget(key: Key) -> bool:
    return key.budget_dollars is not None or key.budget_tokens is not None


def reserve_at_most(request: AdmittedRequest) -> tuple[float, int]:
    """(dollars, tokens). A body that bounds no answer is bounded."""
    asked = request.asked
    decided = request.decided
    field = request.target.bound
    if field is not None and asked.answer_tokens() is None:
        most = request.snapshot.config.limits.unsaid_answer_tokens
        decided.fields[field] = msgspec.Raw(msgspec.json.encode(most))
        decided.answer_tokens = most * asked.copies()
    prompt_tokens = DENSE * decided.prompt_tokens
    dollars = _dearest(request, prompt_tokens, decided.answer_tokens)
    return dollars, prompt_tokens + decided.answer_tokens


def _dearest(
    request: AdmittedRequest,
    input_tokens: int,
    output_tokens: int,
) -> float:
    """At the dearest upstream of whoever may answer, and the small model's on top."""
    settings = request.decided.settings
    names = (request.asked.body.model, *settings.fallback)
    dollars = max(_at_most(request, name, input_tokens, output_tokens) for name in names)
    if settings.hybrid is not None:
        dollars += _at_most(request, settings.hybrid.small, input_tokens, output_tokens)
    return dollars


def _at_most(
    request: AdmittedRequest,
    name: str,
    input_tokens: int,
    output_tokens: int,
) -> float:
    snapshot = request.snapshot
    try:
        candidates = snapshot.router.candidates(name, request.asked)
    except Refusal:
        return 0.0  # it cannot do this, and will not be asked
    found = (snapshot.price(each).cost(input_tokens, output_tokens) for each in candidates)
    return max(found, default=0.0)
