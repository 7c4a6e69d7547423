"""The socket that clients connect to."""

from __future__ import annotations

import errno
import socket

from llmops_cli.core.errors import EnvironmentMissing

BACKLOG = 2048
OF_PORT = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def bind(host: str, port: int) -> socket.socket:
    """Raises: EnvironmentMissing for a port in use, or an address that is not here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        is_of_port = error.errno in OF_PORT
        raise EnvironmentMissing(
            f"cannot listen at {host}:{port}: {error.strerror or error}",
            hint="choose another --port" if is_of_port else "choose another --host",
        ) from error
    return listener
