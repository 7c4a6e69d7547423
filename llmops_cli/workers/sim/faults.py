"""What a script lets go wrong, before an answer begins and in its middle."""

import asyncio
import socket
import struct

from _shared.http1 import reply

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


async def refuse(fault: str, writer: asyncio.StreamWriter) -> None:
    """One of REFUSALS."""
    if fault in ("fail", "error"):
        error = {"message": "scripted failure"}
        status = 503 if fault == "fail" else 500
        await reply(writer, status, {"error": error})
    elif fault == "busy":
        writer.write(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}")
    elif fault == "silent":
        await asyncio.sleep(FOREVER_S)
    elif fault == "slow_headers":
        await _send_slow_headers(writer)
    else:
        await _promise_too_much(writer)


async def _send_slow_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10 * FOREVER_S):
        writer.write(b"X-%d: y\r\n" % number)
        await asyncio.sleep(0.1)
        await writer.drain()


async def _promise_too_much(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"id":'
    )
    await writer.drain()
    raise ConnectionResetError


async def break_off(fault: str, writer: asyncio.StreamWriter) -> bool:
    """Does what the script says in the middle of an answer; True if that was its end."""
    if fault == "malformed":
        writer.write(b"d\r\ndata: {oops\n\n\r\n")
        return False
    await writer.drain()
    if fault == "stall":
        await asyncio.sleep(FOREVER_S)
    if fault == "half":
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    _reset(writer)
    raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    linger = struct.pack("ii", 1, 0)  # on, for no time
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
