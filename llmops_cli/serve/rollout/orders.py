"""What goes over the wire at /admin/deployments: an order, and where everything stands."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.serve.rollout.history import Deployment
from llmops_cli.serve.upstreams.canary import CanaryStatus

OrderName = Literal["canary", "promote", "rollback"]
Reason = Annotated[str, msgspec.Meta(max_length=500)]
Name = Annotated[str, msgspec.Meta(max_length=256)]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model`: whose canary; without one, `rollback` means the configuration.

    `expect`: the state that whoever orders has seen; another one refuses the order.
    """

    action: OrderName
    model: Name | None = None
    percent: int | None = None
    reason: Reason = ""
    expect: Name = ""


class SideReport(msgspec.Struct, frozen=True, kw_only=True):
    requests: int
    errors: int
    ttft_s: float | None = None


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """`since`: seconds since 1970, when it came to where it stands."""

    state: CanaryStatus
    percent: int
    steps: list[int]
    since: float
    reason: str
    stable: SideReport
    canary: SideReport


class DeployStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: changes with whatever anybody deploys. `config`: the digest of what is served.

    `config_ok`: the file can be used as it is now. `rolled_back`: what is served is older than
    the file. `live`: of models with colours. `history`: newest first.
    """

    state: str
    config: str
    config_ok: bool
    rolled_back: bool
    models: list[str]
    canaries: dict[str, CanaryReport]
    live: dict[str, str]
    history: list[Deployment]


class DeployReply(msgspec.Struct, frozen=True, kw_only=True):
    """`changed`: false where everything was so already."""

    changed: bool
    status: DeployStatus
