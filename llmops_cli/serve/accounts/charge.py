"""What a request takes of a limit, and what is left of it then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

MINUTE_S = 60.0
STREAM_WAIT_S = 1.0
"""Until a stream ends, as far as anybody can say."""
ROUNDING = 1e-9
"""Of a bucket that is refilled in fractions."""

Kind = Literal["requests", "tokens", "streams"]


class Charge(msgspec.Struct, frozen=True):
    """`amount` of what `subject` may have `most` of: a minute, or at once for streams."""

    subject: str
    kind: Kind
    most: int
    amount: float

    def fits(self, left: float) -> bool:
        """Whoever asks for more than there ever is waits for a full bucket."""
        enough = left + ROUNDING
        return self.amount <= enough or self.most <= enough

    def wait_s(self, left: float) -> float:
        """Until there would be enough."""
        if self.kind == "streams":
            return STREAM_WAIT_S
        missing = min(self.amount, self.most) - left
        return max(0.0, missing * MINUTE_S / self.most)


class BucketState(msgspec.Struct, frozen=True):
    """What is left of one charge's bucket, and how long until there would be enough."""

    left: float
    wait_s: float


class LimitDecision(msgspec.Struct, frozen=True):
    """`refused` is the first charge that there was not enough for; then none was taken.

    `lease` names what is held.
    """

    refused: Charge | None
    buckets: list[BucketState]
    lease: str = ""


class Limiter(Protocol):
    """Where buckets are kept: a file of the machine, or Redis."""

    async def take(self, charges: Sequence[Charge]) -> LimitDecision:
        """All charges or none."""
        ...

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        """Amounts that were not used after all, and streams that have ended.

        A negative amount: more was used.
        """
        ...
