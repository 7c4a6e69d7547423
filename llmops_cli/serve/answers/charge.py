"""What an upstream has done for a request, added to what that has used and cost."""

from __future__ import annotations

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.context import Usage
from llmops_cli.serve.upstreams.candidate import RoutingCandidate


def charge(
    request: AdmittedRequest,
    candidate: RoutingCandidate,
    usage: Usage,
) -> None:
    observed = request.observed
    observed.dollars += request.snapshot.prices.dollars(candidate, usage)
    observed.usage = observed.usage.plus(usage)
