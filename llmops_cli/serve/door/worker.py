"""A worker process of the gateway: `python -m llmops_cli.serve.door.worker FD`, what to serve on its
standard input.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import msgspec

from llmops_cli.serve.gateway import GatewaySpec, serve_here


def main() -> None:
    launch = msgspec.json.decode(sys.stdin.buffer.readline(), type=GatewaySpec)
    threading.Thread(target=_follow_parent, daemon=True).start()
    listener = socket.socket(fileno=int(sys.argv[1]))
    serve_here(launch, listener)


def _follow_parent() -> None:
    """The input ends when the parent does, however it ended."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
