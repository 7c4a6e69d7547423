"""Asking a gateway that runs, here or elsewhere, to deploy something."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import (
    EnvironmentMissing,
    GateFailed,
    LlmopsError,
    UsageError,
    unknown_name,
)
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.look import GatewayRefused, asked, base_of, no_gateway
from llmops_cli.serve.rollout.orders import DeployReply, DeployStatus, Order

PATH = "/admin/deployments"
NEEDS_HINT = {
    "state_changed": "llmops deploy status",
    "canary_rolled_back": "llmops deploy canary MODEL",
    "nothing_before": "llmops deploy status",
    "cannot_be_served": "llmops deploy status",
}
"""What a gateway says of an order that cannot be obeyed as things are: code -> what to do."""
MISTAKES = ("invalid_body", "no_such_step", "no_canary", "model_not_found")


def deploy_status(url: str, key_env: str) -> DeployStatus:
    """`key_env`: the variable with a key of the role admin.

    Raises: EnvironmentMissing; UsageError.
    """
    base = base_of(url, key_env)
    raw = asked(base, PATH, key_env)
    try:
        return msgspec.json.decode(raw, type=DeployStatus)
    except UNREADABLE:
        raise no_gateway(base) from None


def deploy(url: str, key_env: str, order: Order) -> DeployReply:
    """Only if nobody else has deployed anything since it was looked at.

    Raises: GateFailed where things have become others; UsageError; EnvironmentMissing.
    """
    status = deploy_status(url, key_env)
    if order.model:
        _require_canary(order.model, status)
    if not order.expect:
        order = msgspec.structs.replace(order, expect=status.state)
    base = base_of(url, key_env)
    try:
        raw = asked(base, PATH, key_env, msgspec.json.encode(order))
        return msgspec.json.decode(raw, type=DeployReply)
    except GatewayRefused as error:
        raise _meaning_of(error) from None
    except UNREADABLE:
        raise no_gateway(base) from None


def _require_canary(name: str, status: DeployStatus) -> None:
    """Raises: UsageError."""
    if name in status.canaries:
        return
    if name in status.models:
        raise UsageError(
            f"the model {name} has no canary",
            hint=f"models.{name}.canary in the gateway's file: {{use: [UPSTREAM]}}",
        )
    if not status.canaries:
        raise UsageError(
            f"there is no canary of {name}, nor of any model",
            hint="models.NAME.canary in the gateway's file: {use: [UPSTREAM]}",
        )
    raise unknown_name("canary", name, status.canaries)


def _meaning_of(error: GatewayRefused) -> LlmopsError:
    if error.code in MISTAKES:
        return UsageError(error.said)
    if error.code in NEEDS_HINT:
        return GateFailed(error.said, hint=NEEDS_HINT[error.code])
    if error.code == "state_unwritable":
        return EnvironmentMissing(error.said, hint="look at the disk of the gateway's state")
    return error
