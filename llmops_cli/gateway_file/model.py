"""A model of the gateway's file: who answers for it, and how requests are spread over them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Share
from llmops_cli.gateway_file.quantities import AboveZero, Count, KeyName, Percent, Seconds
from llmops_cli.gateway_file.upstream import Capability

AnswerBound = Literal["max_tokens", "max_completion_tokens"]
"""OpenAI's reasoning models take only the second."""
Balance = Literal["tokens", "prefix", "sticky", "cost"]
UrgencyName = Literal["interactive", "batch"]
EnoughRequests = Annotated[int, msgspec.Meta(ge=20)]
Factor = Annotated[float, msgspec.Meta(gt=1)]
LastAnswer = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Similarity = Annotated[float, msgspec.Meta(gt=0, le=1)]


class PoolMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An upstream in a pool. `model`: its own name for the model."""

    upstream: str
    model: str | None = None
    weight: AboveZero = 1.0


Pool = list[str | PoolMember]
"""A name alone is a member that calls the model as we do."""


def upstream_of(member: str | PoolMember) -> str:
    """The upstream's name."""
    if isinstance(member, PoolMember):
        return member.upstream
    return member


class RuleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that meets all that is said here goes to `use`.

    Tokens are estimated from characters.
    """

    use: Pool
    longer_than: Count | None = None
    shorter_than: Count | None = None
    urgency: UrgencyName | None = None
    private: bool | None = None
    needs: Capability | None = None
    keys: list[KeyName] = []


def _first_steps() -> list[int]:
    return [5, 50, 100]


class CanaryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`use` gets each share of `steps` (percent) for `step_s`, and `requests` in it at least.

    It is rolled back when its errors are `errors` (a share) above the stable side's or its median
    TTFT is over `ttft` times the stable one's.
    """

    use: Pool
    steps: list[Percent] = msgspec.field(default_factory=_first_steps)
    step_s: Seconds = 600.0
    requests: EnoughRequests = 100
    errors: Share = 0.02
    ttft: Factor = 1.5


class ShadowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A copy of `share` of the requests, whose answers nobody sees."""

    use: Pool
    share: Share = 0.05
    at_once: Count = 16


class HybridConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`small` (another model here) answers first.

    Below a mean token probability of `sure`, the model itself does.
    """

    small: str
    sure: Share = 0.7


class SemanticConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers of questions that mean the same.

    `model` makes the vectors and is one of the models here.
    """

    model: str
    threshold: Similarity = 0.95
    entries: Count = 2000


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stale`: an expired answer is better than none when nothing answers.

    `private`: requests that a rule keeps from some upstream are cached, too.
    """

    ttl_s: Seconds = 3600.0
    semantic: SemanticConfig | None = None
    stale: bool = False
    private: bool = False


class CompressConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chats made smaller by rules. `tokens`: beyond so many the oldest turns go; None: none does.

    Tokens are estimated from characters.
    """

    tokens: Count | None = None


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that clients use.

    `pool` or, for a blue-green switch, `colours` and which of them is `live`. `fields`: of bodies,
    that are sent although the gateway does not know them; every text in them counts as a prompt's.

    `context`: the most tokens of a prompt and its answer, where upstreams do not say so.
    `unsaid_answer_tokens`, in the field `bound`: what is sent where tokens count and a body bounds
    no answer. `image_tokens`: the most that an image takes. `last_answer`: the text of chats that
    nobody answers.
    """

    pool: Pool = []
    colours: dict[str, Pool] = {}
    live: str | None = None
    balance: Balance = "tokens"
    rules: list[RuleConfig] = []
    fallback: list[str] = []
    adapters: list[str] = []
    hybrid: HybridConfig | None = None
    canary: CanaryConfig | None = None
    shadow: ShadowConfig | None = None
    cache: CacheConfig | None = None
    compress: CompressConfig | None = None
    hedge_after_s: Seconds | None = None
    fields: list[str] = []
    context: Count | None = None
    unsaid_answer_tokens: Count | None = None
    bound: AnswerBound = "max_tokens"
    last_answer: LastAnswer | None = None
    image_tokens: Count = 16_384

    def members(self) -> Pool:
        if self.live:
            return self.colours[self.live]
        return self.pool
