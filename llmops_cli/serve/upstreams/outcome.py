"""What an exchange says of its upstream, and of the side of a canary that it is on."""

from __future__ import annotations

from enum import Enum

from llmops_cli.serve.upstreams.errors import Blame, UpstreamError


class Outcome(Enum):
    """NOTHING: it ended by what the client, or the gateway, did."""

    GOOD = "good"
    BAD = "bad"
    NOTHING = "nothing"


def outcome_of(error: UpstreamError) -> Outcome:
    if error.blame is Blame.UPSTREAM:
        return Outcome.BAD
    return Outcome.NOTHING
