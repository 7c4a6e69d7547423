"""Where a gateway's deployments stand, as tables."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from llmops_cli.core.counted import counted
from llmops_cli.core.visible import visible_line
from llmops_cli.serve.rollout.history import Deployment
from llmops_cli.serve.rollout.orders import (
    CanaryReport,
    DeployReply,
    DeployStatus,
    Order,
    SideReport,
)
from llmops_cli.show.tables import Narrowed

CANARY_COLUMNS = ("state", "share", "since (UTC)", "stable", "canary", "why")


def status_page(status: DeployStatus, *, most: int) -> Group:
    """`most`: entries of the history."""
    parts: list[RenderableType] = [Text(visible_line(_headline(status)))]
    for name, live in sorted(status.live.items()):
        parts.append(Text(visible_line(f"model {name}: {live} is live")))
    if status.canaries:
        parts.append(Narrowed(_canaries(status), folds=("stable", "canary", "why")))
    parts.append(Narrowed(_history(status.history[:most]), folds=("what", "why")))
    return Group(*parts)


def _headline(status: DeployStatus) -> str:
    parts = [f"state {status.state}", f"config {status.config}"]
    if status.rolled_back:
        parts.append("rolled back: the file says otherwise")
    if not status.config_ok:
        parts.append("the file cannot be used as it is")
    return "   ".join(parts)


def _canaries(status: DeployStatus) -> Table:
    table = Table("canary", *CANARY_COLUMNS)
    for name, report in sorted(status.canaries.items()):
        cells = _cells(report)
        table.add_row(*[escape(visible_line(cell)) for cell in (name, *cells)])
    return table


def _cells(report: CanaryReport) -> list[str]:
    steps = ", ".join(map(str, report.steps))
    return [
        str(report.state),
        f"{report.percent} % of {steps}",
        when(report.since),
        _side(report.stable),
        _side(report.canary),
        report.reason,
    ]


def _side(side: SideReport) -> str:
    ttft = "" if side.ttft_s is None else f", TTFT {side.ttft_s * 1e3:.0f} ms"
    return f"{counted(side.requests, 'request')}, {counted(side.errors, 'error')}{ttft}"


def _history(history: list[Deployment]) -> Table:
    table = Table("when (UTC)", "who", "what", "config", "why")
    for entry in history:
        cells = (when(entry.at), entry.who, what(entry), entry.digest, entry.reason)
        table.add_row(*[escape(visible_line(cell)) for cell in cells])
    return table


def what(entry: Deployment) -> str:
    """`canary chat 5 %`."""
    parts = [str(entry.action), entry.model]
    if entry.percent is not None:
        parts.append(f"{entry.percent} %")
    return " ".join(part for part in parts if part)


def when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def done_in_words(order: Order, reply: DeployReply) -> str:
    status = reply.status
    if order.model:
        now = status.canaries[order.model]
        stands = f"canary {order.model}: {now.state}, {now.percent} % of the traffic"
    else:
        stands = f"config {status.config}; put the file right, it counts again when it changes"
    already = "" if reply.changed else " (it was so already)"
    return f"{stands}{already}; state {status.state}"
