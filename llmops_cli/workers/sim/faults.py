"""What a script lets go wrong, before an answer begins and in its middle."""

import asyncio
import socket
import struct

from _shared.http1 import HttpConnection

FAULTS = {
    "fail": "gets a 503",
    "error": "gets a 500",
    "busy": "gets a 429 with Retry-After",
    "silent": "gets nothing at all",
    "slow_headers": "gets headers that never end",
    "wrong_length": "gets less than was promised",
    "stall": "stops sending",
    "reset": "is reset",
    "half": "ends without its end",
    "malformed": "has a broken event",
}
REFUSALS = ("fail", "error", "busy", "silent", "slow_headers", "wrong_length")
"""Those that come before an answer."""
FOREVER_S = 3600


async def refuse(fault: str, connection: HttpConnection) -> None:
    """One of REFUSALS."""
    if fault in ("fail", "error"):
        error = {"message": "scripted failure"}
        status = 503 if fault == "fail" else 500
        await connection.reply(status, {"error": error})
    elif fault == "busy":
        await connection.reply(429, {}, [("Retry-After", "1")])
    elif fault == "silent":
        await asyncio.sleep(FOREVER_S)
    elif fault == "slow_headers":
        await _send_slow_headers(connection)
    else:
        await _promise_too_much(connection)


async def _send_slow_headers(connection: HttpConnection) -> None:
    connection.writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10 * FOREVER_S):
        connection.writer.write(b"X-%d: y\r\n" % number)
        await asyncio.sleep(0.1)
        await connection.writer.drain()


async def _promise_too_much(connection: HttpConnection) -> None:
    connection.writer.write(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"id":'
    )
    await connection.writer.drain()
    raise ConnectionResetError


async def break_off(fault: str, connection: HttpConnection) -> bool:
    """Does what the script says in the middle of an answer; True if that was its end."""
    if fault == "malformed":
        connection.writer.write(b"d\r\ndata: {oops\n\n\r\n")
        return False
    await connection.writer.drain()
    if fault == "stall":
        await asyncio.sleep(FOREVER_S)
    if fault == "half" and connection.has_begun:
        await connection.end()
        return True
    if fault == "half":
        raise ConnectionAbortedError
    _reset(connection)
    raise ConnectionResetError


def _reset(connection: HttpConnection) -> None:
    """Closes with RST instead of FIN."""
    raw = connection.writer.get_extra_info("socket")
    linger = struct.pack("ii", 1, 0)  # on, for no time
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.writer.transport.abort()
