"""Where a worker's server listens."""

from __future__ import annotations

import argparse

from _openai.serving import add_address, address_of


def address(*argv: str) -> str:
    parser = argparse.ArgumentParser()
    add_address(parser)
    return str(address_of(parser.parse_args(argv)))


def test_nobody_else_can_ask_unless_the_host_says_so() -> None:
    assert address("--port", "8000") == "127.0.0.1:8000"
    assert address("--port", "8000", "--host", "0.0.0.0") == "0.0.0.0:8000"
