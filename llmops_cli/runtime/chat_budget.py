"""What was used, and what may be: hard caps in requests, tokens and money.

A request reserves what it takes at most before it is sent, and settles after: so a cap is never
passed. One that does not fit beside those on their way waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.runtime.chat_errors import Unanswered
from llmops_cli.runtime.chat_request import TokenBound

ROUNDING = 1e-9
"""Of sums of money."""


class TokenUse(msgspec.Struct):
    """What was used so far, by the server's own counts where it gives them."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Cap(StrEnum):
    """The limit that a request would pass."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    MONEY = "money"


class BudgetSpent(Unanswered):
    """A request that was not sent: it could have passed a cap."""

    def __init__(self, cap: Cap) -> None:
        super().__init__(f"budget: {cap}")
        self.cap = cap


class ChatCaps(msgspec.Struct, frozen=True, kw_only=True):
    """None for no limit. Money is in the unit of the endpoints' prices."""

    requests: int | None = None
    tokens: int | None = None
    money: float | None = None

    @property
    def bind_tokens(self) -> bool:
        """Whether answers need a limit of their own, so that something can be reserved."""
        return self.tokens is not None or self.money is not None


class Spend(msgspec.Struct):
    """What was taken, or is reserved."""

    requests: int = 0
    tokens: int = 0
    money: float = 0.0

    def add(self, other: Spend, sign: int = 1) -> None:
        self.requests += sign * other.requests
        self.tokens += sign * other.tokens
        self.money += sign * other.money


class ChatBudget:
    """One budget, of as many clients as share it, in one event loop. `spent` may begin above 0.

    `some_are_free`: a client without prices takes no money, beside others that do.
    """

    def __init__(
        self,
        caps: ChatCaps,
        *,
        spent: Spend | None = None,
        some_are_free: bool = False,
    ) -> None:
        self.caps = caps
        self._some_are_free = some_are_free
        self.spent = spent or Spend()
        self._reserved = Spend()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def reserve(self, bound: TokenBound, prices: Prices) -> Spend:
        """What is kept free for a request. Raises: BudgetSpent; UsageError for no bound."""
        self._require_bound(bound, prices)
        wanted = most_of(bound, prices)
        while True:
            cap = self._passed(wanted)
            if cap is None:
                self._reserved.add(wanted)
                return wanted
            if not self._reserved.requests:
                raise BudgetSpent(cap)
            await self._change()

    def settle(self, reserved: Spend, taken: Spend) -> None:
        """What it took in the end, which frees the rest."""
        self._reserved.add(reserved, -1)
        self.spent.add(taken)
        waiting = self._waiting
        self._waiting = deque()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _require_bound(self, bound: TokenBound, prices: Prices) -> None:
        is_paid = self.caps.money is not None and prices.are_given
        if self.caps.money is not None and not is_paid and not self._some_are_free:
            raise UsageError("a cap in money needs the prices of tokens")
        if (is_paid or self.caps.tokens is not None) and not bound.output:
            raise UsageError("a cap in tokens or money needs a limit of tokens for each answer")

    def _passed(self, wanted: Spend) -> Cap | None:
        whole = Spend()
        for each in (self.spent, self._reserved, wanted):
            whole.add(each)
        return passed_cap(self.caps, whole)

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


def most_of(bound: TokenBound, prices: Prices) -> Spend:
    """What a request takes at most."""
    return Spend(
        requests=1,
        tokens=bound.input + bound.output,
        money=prices.cost(bound.input, bound.output),
    )


def passed_cap(caps: ChatCaps, whole: Spend) -> Cap | None:
    """The first that so much passes."""
    if caps.requests is not None and whole.requests > caps.requests:
        return Cap.REQUESTS
    if caps.tokens is not None and whole.tokens > caps.tokens:
        return Cap.TOKENS
    if caps.money is not None and whole.money > caps.money + ROUNDING:
        return Cap.MONEY
    return None


def require_one_bought(
    caps: ChatCaps,
    bounds: Iterable[TokenBound],
    prices: Prices,
    *,
    flags: Mapping[Cap, str],
) -> None:
    """Raises: UsageError where none of these requests fits into the caps, before any is sent.

    `flags`: the option of each cap, for the hint.
    """
    wanted = [most_of(bound, prices) for bound in bounds]
    caps_passed = [passed_cap(caps, each) for each in wanted]
    if not caps_passed or None in caps_passed:
        return
    tokens = min(each.tokens for each in wanted)
    needed = {Cap.TOKENS: f"{tokens}", Cap.MONEY: f"{min(each.money for each in wanted):.6g}"}
    cap = caps_passed[0]
    assert cap is not None
    raise UsageError(
        f"{flags[cap]} buys no request: the smallest may take {tokens:,} tokens",
        hint=f"{flags[cap]} {needed.get(cap, '1')} or more, or a lower --max-tokens",
    )
