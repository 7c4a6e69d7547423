"""How a connection comes to be: the socket, a proxy's tunnel and the TLS handshake."""

from __future__ import annotations

import errno
import select
import socket
import ssl

from llmops_cli.bench.connection import Connection, tls_context
from llmops_cli.bench.plan import Destination

MOST_REPLY_BYTES = 1 << 14
READ_AND_WRITE = select.EPOLLIN | select.EPOLLOUT
UNDER_WAY = (0, errno.EINPROGRESS, errno.EAGAIN)


class ConnectionOpener:
    """Opens connections to one target, a step each time that the socket is ready."""

    def __init__(self, target: Destination, epoll: select.epoll) -> None:
        self._target = target
        self._epoll = epoll
        self._tls = tls_context(target)

    @property
    def is_encrypted(self) -> bool:
        return self._tls is not None

    def start(self) -> Connection:
        """A connection on its way. Raises: OSError if it is refused at once."""
        target = self._target
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(tuple(target.address))
        if code not in UNDER_WAY:
            sock.close()
            raise _error(code)
        connection = Connection(sock)
        self._epoll.register(connection.fd, READ_AND_WRITE)
        return connection

    def advance(self, connection: Connection, mask: int) -> bool:
        """The next step; True once requests can be sent.

        Raises: OSError for one that failed, also BlockingIOError and SSLWantReadError where the
        socket is not ready after all.
        """
        if connection.stage == "connecting":
            code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise _error(code)
            if not mask & select.EPOLLOUT:
                return False
            return self._connected(connection)
        if connection.stage == "tunnel":
            if not mask & select.EPOLLIN:
                return False
            return self._tunnelled(connection)
        return self._shake(connection)

    def _connected(self, connection: Connection) -> bool:
        target = self._target
        if target.scheme != "https":
            return True
        if not target.proxy:
            return self._start_tls(connection)
        connection.stage = "tunnel"
        place = f"{target.host}:{target.port}"
        ask = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n"
        connection.sock.send(ask.encode())
        self._epoll.modify(connection.fd, select.EPOLLIN)
        return False

    def _tunnelled(self, connection: Connection) -> bool:
        reply = connection.sock.recv(MOST_REPLY_BYTES)
        version, _, rest = reply.partition(b" ")
        status, _, _ = rest.partition(b" ")
        if not version.startswith(b"HTTP/1.") or status != b"200":
            raise OSError(errno.ECONNREFUSED, f"the proxy refused: {reply[:60]!r}")
        return self._start_tls(connection)

    def _start_tls(self, connection: Connection) -> bool:
        assert self._tls is not None
        connection.stage = "handshake"
        host = self._target.host
        connection.sock = self._tls.wrap_socket(
            connection.sock, server_hostname=host, do_handshake_on_connect=False
        )
        return self._shake(connection)

    def _shake(self, connection: Connection) -> bool:
        assert isinstance(connection.sock, ssl.SSLSocket)
        connection.sock.do_handshake()
        return True


def _error(code: int) -> OSError:
    name = errno.errorcode.get(code, str(code))
    return OSError(code, name)
