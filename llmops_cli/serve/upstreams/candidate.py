"""An upstream that could answer a request."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from llmops_cli.serve.upstreams.upstream import Upstream


class RoutingCandidate(msgspec.Struct, frozen=True):
    """`model`: what the upstream calls it.

    `held`: a stream is not passed on before its first words.
    """

    upstream: Upstream
    model: str
    weight: float = 1.0
    side: str = "stable"
    held: bool = False

    def is_free(self, tried: Collection[Upstream] = (), who: str = "") -> bool:
        """Whether it would answer `who` now, and was not tried."""
        upstream = self.upstream
        if upstream in tried or not upstream.usable(who):
            return False
        return not upstream.full() and not upstream.resting()
