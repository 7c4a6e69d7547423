"""What the load loop moves: requests and connections.

And what is made once for a level's target.
"""

from __future__ import annotations

import socket
import ssl
import time

from llmops_cli.bench.plan import Destination, LevelPlan
from llmops_cli.bench.session import PlannedTurn, Session
from llmops_cli.runtime.wire import HttpResponse, request_head


class Request:
    """One request on its way."""

    __slots__ = (
        "connect_ns",
        "connection",
        "done_ns",
        "held",
        "index",
        "intended_ns",
        "response",
        "retried",
        "sent_ns",
        "session",
        "turn",
        "turn_number",
    )

    def __init__(
        self,
        session: Session,
        turn: PlannedTurn,
        *,
        index: int,
        turn_number: int,
        intended_ns: int,
    ) -> None:
        self.session = session
        self.turn = turn
        self.index = index
        self.turn_number = turn_number
        self.intended_ns = intended_ns
        self.sent_ns = self.connect_ns = self.done_ns = 0
        self.connection: Connection | None = None
        self.response = HttpResponse()
        self.retried = self.held = False


class Connection:
    """A socket, connecting, idle or busy with one request."""

    __slots__ = ("fd", "opened_ns", "out", "request", "sock", "stage", "used")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.request: Request | None = None
        self.opened_ns = time.monotonic_ns()
        self.stage = "connecting"  # connecting, tunnel, handshake, open
        self.out = b""
        self.used = False


def head_of(plan: LevelPlan) -> bytes:
    """The request head up to the request's own number."""
    target = plan.target
    prefix = ""
    if target.proxy and target.scheme == "http":
        prefix = f"http://{target.authority}"
    host = target.authority
    head = request_head(target=target.path, host=host, headers=target.headers, prefix=prefix)
    number = f"X-Request-Id: llmops-{plan.level}-{plan.repetition}-"
    return head + number.encode()


def tls_context(target: Destination) -> ssl.SSLContext | None:
    """None for plain HTTP."""
    if target.scheme != "https":
        return None
    context = ssl.create_default_context()
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
