"""A worker process of the gateway: `python -m llmops_cli.serve.door.worker LISTENER VERSIONS`.

Both are descriptors that it has inherited. What to serve comes as a line on its standard input,
which stays open as long as the parent lives.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import msgspec

from llmops_cli.serve.door.server import serve_here
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.versions import ConfigVersions

READ_BYTES = 4096


def main() -> None:
    line = sys.stdin.buffer.readline()
    spec = msgspec.json.decode(line, type=GatewaySpec)
    threading.Thread(target=_follow_parent, daemon=True).start()
    listener = socket.socket(fileno=int(sys.argv[1]))
    versions = ConfigVersions(int(sys.argv[2]))
    serve_here(spec, versions, listener)


def _follow_parent() -> None:
    """The input ends when the parent does, however it ended.

    Read without Python's buffer, whose lock ends the interpreter with an abort where somebody waits
    in it.
    """
    while os.read(sys.stdin.fileno(), READ_BYTES):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
