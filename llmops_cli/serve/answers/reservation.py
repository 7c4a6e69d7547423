"""What a request can cost at most, for keys that have a budget.

An upper bound at every server that obeys the body which is sent: a token is a byte of text at
least, so that no prompt has more tokens than bytes, whatever its language and its tokenizer.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.cache import asked_last
from llmops_cli.serve.answers.lengths import answers_of
from llmops_cli.serve.answers.vector import vector_context
from llmops_cli.serve.context import Asked
from llmops_cli.serve.endpoints import CHAT, RESPONSES, AnswerKind
from llmops_cli.serve.field_tables import DEFINITION
from llmops_cli.serve.fields import FURTHER, READ
from llmops_cli.serve.media import Medium
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.candidate import RoutingCandidate

TEMPLATE_TOKENS = 128
"""What a template writes by itself: marks, a date, a system prompt where there is none."""
DEFINING_TOKENS = 512
"""What it says beside tools, documents and forms."""
PLAIN_TOKENS = 16
MARKS = 4
"""Tokens before and behind a prompt that is tokens. Around a text its JSON's marks are as many."""
HEDGED = 2
"""Copies of a request at once, at most."""
WIDENED = 2
"""A template may write definitions with a line and an indent for each of their values."""
APART_CHARS = 256
COUNTED_HERE_BYTES = 256 << 10
"""Of texts in other scripts than ASCII's, counted on the loop in some milliseconds."""
OWN_TOOLS = (
    None,
    "function",
    "custom",
    "local_shell",
    "apply_patch",
    "computer",
    "computer_use_preview",
)
"""Types of tools that a client runs."""


FieldSizes = Mapping[str, int]
"""The most tokens that the text of each field may be."""


class Bound(NamedTuple):
    """The most tokens of a request: of its prompts, and of its answers."""

    prompt_tokens: int
    answer_tokens: int


class VectorBound(NamedTuple):
    dollars: float
    tokens: int


NO_VECTOR = VectorBound(0.0, 0)
SPEAKING = frozenset(("modalities", "audio"))
"""Fields that ask for a spoken answer."""


class Whoever(NamedTuple):
    """All who may be asked: one of `first`, then one of `answering`, each in up to `copies`."""

    answering: list[RoutingCandidate]
    first: list[RoutingCandidate]
    copies: int


def has_budget(key: Key) -> bool:
    return key.budget_dollars is not None or key.budget_tokens is not None


async def sizes_beside(request: AdmittedRequest) -> FieldSizes:
    """What the texts of a request have at most, counted beside the loop where that takes long."""
    texts = _texts_of(request)
    if sum(len(raw) for raw in texts.values() if not raw.isascii()) <= COUNTED_HERE_BYTES:
        return _sizes(texts)
    return await asyncio.to_thread(_sizes, texts)


def reserve_at_most(
    request: AdmittedRequest,
    sizes: FieldSizes | None = None,
) -> tuple[float, int]:
    """(dollars, tokens). `sizes`: of the request's texts, where they are known.

    Raises: Refusal for what has no bound, or no price.
    """
    whoever = _whoever(request)
    bound = bound_of(request, sizes)
    rounds = 2 if whoever.first else 1
    tokens = rounds * whoever.copies * sum(bound)
    vector = _vector_bound(request)
    tokens += vector.tokens
    if request.asked.key.budget_dollars is None:
        return 0.0, tokens
    dollars = _dearest(request, whoever.answering, bound) + _dearest(request, whoever.first, bound)
    return whoever.copies * dollars + vector.dollars, tokens


def _vector_bound(request: AdmittedRequest) -> VectorBound:
    """Of a question that is looked up by its meaning; who has no price makes it for nothing."""
    cache = request.snapshot.cache_of(request.decided.settings)
    if cache is None or cache.semantic is None or not request.target.caches:
        return NO_VECTOR
    text = asked_last(request.asked.values.get("messages"))
    if not text:
        return NO_VECTOR
    tokens = _bytes_of(text.encode("utf-8", "replace")) + PLAIN_TOKENS
    model = cache.semantic.model
    copies = HEDGED if _may_be_hedged(request, [model]) else 1
    asked = vector_context(request, model, text).asked
    rates = [request.snapshot.prices.of(each) for each in _allowed(request, model, asked)]
    dollars = max((each.at_most(tokens, 0) for each in rates if each is not None), default=0.0)
    return VectorBound(copies * dollars, copies * tokens)


def _whoever(request: AdmittedRequest) -> Whoever:
    settings = request.decided.settings
    names = [request.asked.body.model]
    names += [name for name in settings.fallback if request.asked.key.serves(name)]
    answering = [each for name in names for each in _allowed(request, name)]
    first = []
    if settings.hybrid is not None:
        first = _allowed(request, settings.hybrid.small)
        names.append(settings.hybrid.small)
    copies = HEDGED if _may_be_hedged(request, names) else 1
    return Whoever(answering, first, copies)


def _may_be_hedged(request: AdmittedRequest, names: list[str]) -> bool:
    """Whether a slow one may be answered by two upstreams, who both bill."""
    router = request.snapshot.router
    return any(router.model(name).settings.hedge_after_s is not None for name in names)


def _allowed(
    request: AdmittedRequest,
    name: str,
    asked: Asked | None = None,
) -> list[RoutingCandidate]:
    """`asked`: in the place of the request itself."""
    allows = request.decided.destinations.allows
    found = request.snapshot.router.everyone(name, asked or request.asked)
    return [each for each in found if allows(each.upstream.name)]


def _dearest(
    request: AdmittedRequest,
    candidates: list[RoutingCandidate],
    bound: Bound,
) -> float:
    """Dollars. Raises: Refusal for an upstream without a price."""
    dearest = 0.0
    sounds = _may_sound(request.asked)
    for each in candidates:
        rates = request.snapshot.prices.of(each)
        if rates is None:
            raise _unpriced(request.asked.model, each.upstream.name)
        dearest = max(dearest, rates.at_most(*bound, sounds=sounds))
    return dearest


def _may_sound(asked: Asked) -> bool:
    """Whether some of its tokens may be of sound, which has a price of its own."""
    reading = asked.reading()
    if reading.refers or reading.has_files or not SPEAKING.isdisjoint(asked.values):
        return True
    return any(each.medium is not Medium.IMAGE for each in reading.media)


def _unpriced(model: str, upstream: str) -> Refusal:
    return Refusal(
        403,
        f"the key has a budget in dollars, and {model!r} has no price at {upstream}: its operator"
        f" sets one in the gateway's file (upstreams.{upstream}.price)",
        code="no_price",
    )


# -- tokens


def bound_of(request: AdmittedRequest, sizes: FieldSizes | None = None) -> Bound:
    """Raises: Refusal for what has no bound."""
    asked = request.asked
    prompt = _prompt_bound(request, sizes)
    answer = request.decided.answer_tokens
    copies = answers_of(asked)
    context = _context(request)
    if context is not None:
        answer = min(answer, copies * context)
    if request.target.answers is not AnswerKind.JSON:
        answer = copies * (context or 0)
    prediction = asked.fields.get("prediction")
    if prediction is not None:
        answer += copies * len(prediction)  # what of it was wrong is billed as an answer
    if asked.body.echo:
        answer += copies * prompt
    return Bound(prompt, answer)


def _prompt_bound(request: AdmittedRequest, sizes: FieldSizes | None) -> int:
    asked = request.asked
    reading = asked.reading()
    unseen = _unseen(asked)
    context = _context(request)
    rounds = 1
    if unseen and context is None:
        raise _unbounded(unseen, asked.model)
    if _runs_tools(asked):
        rounds = _rounds(asked)
    if context is None:
        return _bytes_most(request, sizes)
    most = rounds * reading.prompts * context
    return most if unseen or rounds > 1 else min(most, _bytes_most(request, sizes))


def _unbounded(what: str, model: str) -> Refusal:
    return Refusal(
        400,
        f"the key has a budget, and nobody here can tell what {what} costs; the gateway's file may"
        f" say how much fits (models.{model}.context)",
        code="unbounded",
    )


def _unseen(asked: Asked) -> str:
    """What of prompt and answer cannot be measured, in words; empty: nothing."""
    reading = asked.reading()
    target = asked.endpoint.target
    if target.answers is not AnswerKind.JSON or target.files:
        return "a sound or an image"
    if asked.values.get("background"):
        said = "the key has a budget, and nobody is told what an answer in the background costs"
        raise Refusal(400, said, code="unbounded")
    if reading.refers:
        return "text that somebody else keeps"
    if any(each.medium is not Medium.IMAGE for each in reading.media):
        return "a sound, a video or a file"
    if _runs_tools(asked):
        return "a tool that the server runs"
    return ""


def _runs_tools(asked: Asked) -> bool:
    tools = asked.values.get("tools")
    if not isinstance(tools, list):
        return False
    return any(isinstance(tool, dict) and tool.get("type") not in OWN_TOOLS for tool in tools)


def _rounds(asked: Asked) -> int:
    """How often a model reads, that calls its server's tools. Raises: Refusal."""
    calls = asked.values.get("max_tool_calls")
    if isinstance(calls, bool) or not isinstance(calls, int) or calls < 0:
        said = "the key has a budget: say in max_tool_calls how often the server's tools are called"
        raise Refusal(400, said, code="unbounded")
    return calls + 1


def _context(request: AdmittedRequest) -> int | None:
    """The most tokens that fit wherever it may be sent; None: somebody does not say."""
    settings = request.decided.settings
    names = [request.asked.body.model, *settings.fallback]
    if settings.hybrid is not None:
        names.append(settings.hybrid.small)
    found = [request.snapshot.router.context_most(name, request.asked) for name in names]
    told = [each for each in found if each is not None]
    return max(told) if len(told) == len(found) else None


def _bytes_most(request: AdmittedRequest, sizes: FieldSizes | None) -> int:
    """No text has more tokens than bytes."""
    asked = request.asked
    reading = asked.reading()
    images = len(reading.media) * request.decided.settings.image_tokens
    beside = PLAIN_TOKENS
    if asked.endpoint.target in (CHAT, RESPONSES):
        beside = TEMPLATE_TOKENS
    if reading.token_ids and not reading.texts:
        return reading.token_ids + MARKS * reading.prompts + beside
    size = 0
    table = asked.endpoint.target.fields
    found = _sizes(_texts_of(request)) if sizes is None else sizes
    for name, most in found.items():
        field = table.get(name, FURTHER)
        if field.role in (DEFINITION, "document"):
            most *= WIDENED
            beside += DEFINING_TOKENS
        if name != asked.endpoint.target.prompt:
            most *= reading.prompts  # each of them is read with it
        size += most
    data = sum(each.chars for each in reading.media)
    return _pairs(asked) * (size - data + beside) + images


def _pairs(asked: Asked) -> int:
    """How often a text is read: a question once with each document that it is held against."""
    if not asked.endpoint.target.pairs:
        return 1
    return max(1, _longest_in(list(asked.values.values())))


def _longest_in(values: list[object]) -> int:
    """Items of the longest list: some servers take parts of one content for a document each."""
    longest = 0
    waiting = values
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            longest = max(longest, len(value))
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
    return longest


def _texts_of(request: AdmittedRequest) -> dict[str, bytes]:
    """Fields that a model reads, as they are sent."""
    table = request.asked.endpoint.target.fields
    return {
        name: bytes(raw)
        for name, raw in request.decided.fields.items()
        if table.get(name, FURTHER).carries in READ
    }


def _sizes(texts: Mapping[str, bytes]) -> FieldSizes:
    return {name: _bytes_of(raw) for name, raw in texts.items()}


def _bytes_of(raw: bytes) -> int:
    """Some tokenizers take signs apart first: one of three bytes may be eighteen letters.

    By pieces, since Python sorts the marks of a letter, which changes no size, by insertion.
    """
    if raw.isascii():
        return len(raw)
    text = raw.decode("utf-8", "replace")
    apart = 0
    for start in range(0, len(text), APART_CHARS):
        piece = text[start : start + APART_CHARS]
        apart += len(unicodedata.normalize("NFKD", piece).encode())
    return max(len(raw), apart)
