"""A request until it has a reply: paced, within a budget, and asked again where that can help."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

import msgspec

from llmops_cli.runtime.chat_budget import ChatBudget, Spend, TokenUse
from llmops_cli.runtime.chat_connection import ChatConnection, HttpReply
from llmops_cli.runtime.chat_endpoint import ChatEndpoint
from llmops_cli.runtime.chat_errors import Cost, Retry, Unanswered, server_error
from llmops_cli.runtime.chat_pace import Pace
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.refusal_fields import Filtered

HTTP_OK = 200
OVERLOADED = 529
"""Anthropic's."""
BUSY_STATUSES = frozenset({429, 503, OVERLOADED})
RETRY_STATUSES = BUSY_STATUSES | {408, 409, 425, 500, 502, 504}
FILTER_STATUSES = frozenset({400, 403, 422, 451})
FILTER_MARKS = (b"content_filter", b"content policy")
SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""An account without money stays without it."""
SHORTEST_SECRET = 8
"""Characters of a key that is taken out of what a server says."""
HIDDEN = "[hidden]"
BACKOFF_S = 0.5
LONGEST_WAIT_S = 30.0
LONGEST_ASKED_S = 120.0
"""A server that names a longer wait, or a date by a wrong clock, is asked again after this one."""


class Counted(Protocol):
    """What a reply took."""

    @property
    def input_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...


CountedT = TypeVar("CountedT", bound=Counted)


class SendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`rate`: requests a second at most. `retries`: with growing pauses."""

    retries: int
    seed: int = 0
    rate: float | None = None
    tokens_per_min: int | None = None


class Sender:
    """Requests to one endpoint; `used` counts what was answered."""

    def __init__(
        self,
        endpoint: ChatEndpoint,
        connection: ChatConnection,
        settings: SendSettings,
        *,
        budget: ChatBudget,
    ) -> None:
        self._prices = endpoint.prices
        self._key = endpoint.key
        self._connection = connection
        self._settings = settings
        self._budget = budget
        self._pace = Pace(rate=settings.rate, tokens_per_min=settings.tokens_per_min)
        self._jitter = random.Random(settings.seed)
        self.used = TokenUse()
        self.first_at: float | None = None
        """Monotonic seconds of the first request."""
        self._tell: Callable[[str], None] | None = None
        self._told: set[str] = set()

    def tell_refusals(self, tell: Callable[[str], None]) -> None:
        """What the server says goes there, of the first request of each kind that it refuses."""
        self._tell = tell

    async def send(
        self,
        path: str,
        body: bytes,
        bound: TokenBound,
        read: Callable[[bytes], CountedT],
    ) -> CountedT:
        """What `read` makes of the reply.

        Raises: Unanswered after the last retry, BudgetSpent, Filtered, and what `read` raises.
        """
        retries = self._settings.retries
        for attempt in range(retries + 1):
            try:
                return await self._within_budget(path, body, bound, read)
            except Retry as retry:
                if attempt == retries:
                    failed = Unanswered(retry.kind, self._without_key(retry.detail))
                    self._note(failed.kind, failed.detail)
                    raise failed from None
                await asyncio.sleep(self._pause_s(attempt, retry.after_s))
            except Unanswered as failed:
                failed.detail = self._without_key(failed.detail)
                self._note(failed.kind, failed.detail)
                raise
        raise Unanswered("retries")

    def _note(self, kind: str, detail: str) -> None:
        if self._tell is None or not detail or kind in self._told:
            return
        self._told.add(kind)
        self._tell(f"{kind}: {detail}")

    async def _within_budget(
        self,
        path: str,
        body: bytes,
        bound: TokenBound,
        read: Callable[[bytes], CountedT],
    ) -> CountedT:
        """Sent once. What was reserved counts as taken where nobody knows what was."""
        reserved = await self._budget.reserve(bound, self._prices)
        taken = reserved
        try:
            guess = await self._pace.turn(reserved.tokens)
            reply = await self._posted(path, body)
            if reply.status != HTTP_OK:
                taken = Spend(requests=1)
            require_answered(reply)
            found = read(reply.body)
            taken = self._counted(found)
            self._pace.settle(reserved.tokens, guess, taken.tokens)
        except Retry as retry:
            if retry.cost is Cost.NOTHING:
                taken = Spend(requests=1)
            if retry.is_busy:
                self._pace.hold(min(retry.after_s or 0.0, LONGEST_ASKED_S))
            raise
        finally:
            self._budget.settle(reserved, taken)
        return found

    async def _posted(self, path: str, body: bytes) -> HttpReply:
        if self.first_at is None:
            self.first_at = time.monotonic()
        return await self._connection.post(path, body)

    def _without_key(self, detail: str) -> str:
        """A server's words of an error: some repeat a key that they refuse.

        Long words are cut, perhaps within the key: its beginning at their end is hidden too.
        """
        key = self._key
        if len(key) < SHORTEST_SECRET:
            return detail
        shown = detail.replace(key, HIDDEN)
        for size in range(len(key) - 1, SHORTEST_SECRET - 1, -1):
            if shown.endswith(key[:size]):
                return shown[:-size] + HIDDEN
        return shown

    def _counted(self, found: Counted) -> Spend:
        input_tokens = found.input_tokens
        output_tokens = found.output_tokens
        self.used.requests += 1
        self.used.input_tokens += input_tokens
        self.used.output_tokens += output_tokens
        return Spend(
            requests=1,
            tokens=input_tokens + output_tokens,
            money=self._prices.cost(input_tokens, output_tokens),
        )

    def _pause_s(self, attempt: int, asked_s: float | None) -> float:
        """Never shorter than a server asked for."""
        if asked_s is not None:
            spread = 1 + self._jitter.random() / 4
            return min(asked_s, LONGEST_ASKED_S) * spread
        spread = 0.75 + self._jitter.random() / 2
        pause_s: float = BACKOFF_S * 2**attempt
        return min(pause_s, LONGEST_WAIT_S) * spread


def require_answered(reply: HttpReply) -> None:
    """Returns for a 200. Raises: Retry, Filtered, Unanswered for another status."""
    if reply.status == HTTP_OK:
        return
    kind = f"http {reply.status}"
    error = server_error(reply.body)
    if reply.status in RETRY_STATUSES and not SPENT_CODES & {error.code, error.type}:
        raise Retry(
            kind,
            after_s=asked_wait_s(reply.headers),
            detail=error.text,
            is_busy=reply.status in BUSY_STATUSES,
        )
    is_marked = any(mark in reply.body for mark in FILTER_MARKS)
    if is_marked and reply.status in FILTER_STATUSES:
        raise Filtered
    raise Unanswered(kind, error.text)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait: Retry-After in seconds or as a date, or in ms."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, at.timestamp() - time.time())


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return max(0.0, found) if math.isfinite(found) else None
