"""A name server whose records a test changes while it runs: UDP, and TCP for what is too long."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Sequence
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

UDP_BYTES = 512
TRIES = 50


class NameServer:
    """`records` by name and kind; a name with none at all does not exist.

    `mode`: fine, broken (SERVFAIL), silent, or garbage.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.ttl_s = 1
        self.mode = "fine"
        self.asked = 0
        self.tcp_asked = 0
        self._tcp, self._udp = _bound()
        self.address = f"127.0.0.1:{self._tcp.server_address[1]}"
        for server in (self._udp, self._tcp):
            server.names = self
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def say(self, name: str, kind: str, values: Sequence[str]) -> None:
        self.records[name, kind] = list(values)

    def forget(self, name: str) -> None:
        self.records = {key: values for key, values in self.records.items() if key[0] != name}

    def answer(self, raw: bytes, *, most: int) -> bytes | None:
        self.asked += 1
        if self.mode == "silent":
            return None
        if self.mode == "garbage":
            return b"\x00" * 40
        query = dns.message.from_wire(raw)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if self.mode == "broken":
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        values = self.records.get((name, kind), [])
        if values:
            reply.answer.append(
                dns.rrset.from_text_list(question.name, self.ttl_s, "IN", kind, values)
            )
        elif not any(known == name for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        whole = reply.to_wire(max_size=65_535)
        if len(whole) <= most:
            return whole
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire()

    def close(self) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()


class _Udp(socketserver.ThreadingUDPServer):
    names: NameServer
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    names: NameServer
    daemon_threads = True
    allow_reuse_address = True


def _bound() -> tuple[_Tcp, _Udp]:
    """At one port, which both must find free."""
    for _ in range(TRIES):
        tcp = _Tcp(("127.0.0.1", 0), _TcpAnswer)
        try:
            return tcp, _Udp(tcp.server_address, _UdpAnswer)
        except OSError:
            tcp.server_close()
    raise AssertionError("no port is free for UDP and TCP")


class _UdpAnswer(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        raw, sock = self.request
        answer = self.server.names.answer(raw, most=UDP_BYTES)
        if answer is not None:
            sock.sendto(answer, self.client_address)


class _TcpAnswer(socketserver.BaseRequestHandler):
    server: Any
    request: socket.socket

    def handle(self) -> None:
        self.server.names.tcp_asked += 1
        size = int.from_bytes(self.request.recv(2), "big")
        answer = self.server.names.answer(self.request.recv(size), most=65_535)
        if answer is not None:
            self.request.sendall(len(answer).to_bytes(2, "big") + answer)
