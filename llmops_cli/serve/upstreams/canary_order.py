"""What an operator orders of a canary: to begin, to take over, to go back."""

from __future__ import annotations

import time

import msgspec

from llmops_cli.gateway_file.model import CanaryConfig
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.rollout.history import Action
from llmops_cli.serve.upstreams.canary import CanaryState, CanaryStatus, new_sides


class CanaryOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`percent`: the step that CANARY begins with; None: the first, or the one that it is at."""

    action: Action
    percent: int | None = None
    who: str
    key: str
    reason: str = ""

    def apply(self, config: CanaryConfig, state: CanaryState) -> bool:
        """Whether it changed the state. Raises: Refusal."""
        if self.action is Action.CANARY:
            return self._begin(config, state)
        if self.action is Action.PROMOTE:
            return _promote(state)
        return self._roll_back(state)

    def _begin(self, config: CanaryConfig, state: CanaryState) -> bool:
        step = _step_of(self.percent, config)
        is_running = state.state is CanaryStatus.RUNNING
        if is_running and step in (None, state.step):
            return False
        _settle(state, CanaryStatus.RUNNING)
        state.step = step or 0
        state.sides = new_sides()
        return True

    def _roll_back(self, state: CanaryState) -> bool:
        if state.state is CanaryStatus.ROLLED_BACK:
            return False
        why = f": {self.reason}" if self.reason else ""
        _settle(state, CanaryStatus.ROLLED_BACK, reason=f"by {self.who}{why}")
        return True


def _promote(state: CanaryState) -> bool:
    if state.state is CanaryStatus.ROLLED_BACK:
        raise Refusal(
            409,
            f"it was rolled back ({state.reason}); begin it anew, and promote it then",
            code="canary_rolled_back",
        )
    if state.state is CanaryStatus.DONE:
        return False
    _settle(state, CanaryStatus.DONE)
    return True


def _settle(
    state: CanaryState,
    status: CanaryStatus,
    *,
    reason: str = "",
) -> None:
    state.state = status
    state.reason = reason
    state.since = time.time()


def _step_of(percent: int | None, config: CanaryConfig) -> int | None:
    if percent is None:
        return None
    if percent not in config.steps:
        steps = ", ".join(map(str, config.steps))
        raise Refusal(400, f"{percent} % is none of its steps: {steps}", code="no_such_step")
    return config.steps.index(percent)
