"""How long prompt and answers of a request may be: what it says, what is allowed, what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.context import Asked
from llmops_cli.serve.refusal import Refusal

UNSAID_TOKENS = 256
"""What an answer takes of an upstream, where nothing says how long it may be."""
ANSWER_MOST = 131_072
"""Of one answer, where the file sets no limit: no model writes more at a time."""
ANSWERS_MOST = 128
BEAMS = 2
"""A beam search looks at twice as many beginnings as it keeps."""
COPIES = ("n", "best_of")
THOUGHT = frozenset(
    (
        "reasoning",
        "reasoning_budget",
        "thinking",
        "thinking_budget",
        "thinking_budget_tokens",
        "thinking_token_budget",
    )
)
"""Fields with a number of tokens for thought, which some servers count beside an answer's."""


def settle_lengths(request: AdmittedRequest) -> None:
    """What prompt and answers may take. Raises: Refusal for what is longer than allowed."""
    asked = request.asked
    decided = request.decided
    decided.prompt_tokens = asked.prompt_tokens()
    _refuse_long_prompt(request)
    if not request.target.answer_limits:
        return
    count = answers_of(asked)
    each = _said(request)
    if request.snapshot.limits.counts_tokens(asked.key, decided.alias):
        each = _bounded(request, each, count) + _thought(asked)
    decided.answer_tokens = count * (UNSAID_TOKENS if each is None else each)
    most = request.snapshot.config.limits.answer_tokens
    if most is not None and decided.answer_tokens > most:
        said = f"the answers may have {decided.answer_tokens:,} tokens together"
        raise Refusal(400, f"{said}; {most:,} are allowed", code="invalid_body")


def _refuse_long_prompt(request: AdmittedRequest) -> None:
    tokens = request.decided.prompt_tokens
    most = request.snapshot.config.limits.prompt_tokens
    if most is not None and tokens > most:
        said = f"the prompt has about {tokens:,} tokens; {most:,} are allowed"
        raise Refusal(400, said, code="context_length_exceeded")


def _said(request: AdmittedRequest) -> int | None:
    """The most tokens of one answer as the body says it. Raises: Refusal."""
    asked = request.asked
    said: dict[str, int] = {}
    for name in request.target.answer_limits:
        tokens = getattr(asked.body, name)
        if tokens is not None:
            said[name] = tokens
    if len(said) > 1 and len(set(said.values())) > 1:
        shown = " and ".join(said)
        raise Refusal(400, f"{shown} are two limits that differ", code="invalid_body")
    most = request.snapshot.config.limits.answer_tokens or ANSWER_MOST
    for name, tokens in said.items():
        if not 0 <= tokens <= most:
            raise Refusal(400, f"{name} is not between 0 and {most:,}", code="invalid_body")
        if tokens == 0:  # to some servers that is no limit, whatever the least is
            return 0
        return max(tokens, _least(asked, most))
    return None


def _least(asked: Asked, most: int) -> int:
    """The fewest tokens of an answer, whatever its limit says. Raises: Refusal."""
    least = asked.body.min_tokens or 0
    if "min_tokens" not in asked.endpoint.target.fields:
        return 0
    if least > most:
        raise Refusal(400, f"min_tokens is more than {most:,}", code="invalid_body")
    return least


def answers_of(asked: Asked) -> int:
    """How many answers a body asks for. Raises: Refusal."""
    found = asked.reading().prompts
    fields = asked.endpoint.target.fields
    for name in COPIES:
        count = getattr(asked.body, name)
        if count is None or name not in fields:
            continue
        if not 1 <= count <= ANSWERS_MOST:
            said = f"{name} is not between 1 and {ANSWERS_MOST}"
            raise Refusal(400, said, code="invalid_body")
        found *= count
    if asked.body.use_beam_search and "use_beam_search" in fields:
        return found * BEAMS
    return found


def choices_of(asked: Asked) -> int:
    """How many of those answers come back."""
    has_copies = "n" in asked.endpoint.target.fields
    copies = asked.body.n if has_copies else None
    return max(1, asked.reading().prompts) * (1 if copies is None else copies)


def _bounded(request: AdmittedRequest, each: int | None, count: int) -> int:
    """One answer's tokens, where they count. What a body does not bound is bounded by us.

    Raises: Refusal for a bound that is none.
    """
    if each == 0:
        said = "a limit of 0 tokens is none for some servers: ask for 1 at least"
        raise Refusal(400, said, code="invalid_body")
    if each is not None:
        return each
    limits = request.snapshot.config.limits
    settings = request.decided.settings
    most = settings.unsaid_answer_tokens or limits.unsaid_answer_tokens
    if limits.answer_tokens is not None:
        most = max(1, min(most, limits.answer_tokens // count))
    most = max(most, _least(request.asked, limits.answer_tokens or ANSWER_MOST))
    _send_bound(request, most)
    return most


def _send_bound(request: AdmittedRequest, most: int) -> None:
    """In one field; others that say nothing go. The client is told."""
    target = request.target
    fields = request.decided.fields
    for name in target.answer_limits:
        fields.pop(name, None)
    field = target.bound or ""
    if field == "max_tokens":
        field = request.decided.settings.bound
    if field not in target.answer_limits:
        field = target.bound or ""
    fields[field] = msgspec.Raw(msgspec.json.encode(most))
    told = f"{field}={most}"
    request.decided.headers.append((b"x-llmops-bound", told.encode()))


def _thought(asked: Asked) -> int:
    """Tokens that a model may think beside one answer.

    Raises: Refusal for a number that stands for no bound.
    """
    values = asked.values
    if THOUGHT.isdisjoint(values):
        return 0
    total = 0
    for tokens in _numbers_in([values.get(name) for name in THOUGHT]):
        if not 0 <= tokens <= ANSWER_MOST:
            message = f"a budget for thought is between 0 and {ANSWER_MOST:,}"
            raise Refusal(400, message, code="invalid_body")
        total += int(tokens)
    return total


def _numbers_in(value: object) -> Iterator[float]:
    """At any depth, also those written as text: some servers read them as numbers."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
        elif isinstance(inner, str):
            with suppress(ValueError):
                yield float(inner)
        elif isinstance(inner, int | float) and not isinstance(inner, bool):
            yield inner
