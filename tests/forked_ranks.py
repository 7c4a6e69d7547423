"""Ranks of a program that has imported torch already, forked from it.

A rank that starts by itself imports for ten CPU seconds what takes a tenth of one to fork.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial


def run_ranks(count: int, work: Callable[[], None]) -> int:
    """Calls `work` in so many ranks; 0, or the code of the first that failed, when all ended."""
    port = free_port()
    started = [forked(partial(_rank, rank, count, port, work)) for rank in range(count)]
    running = set(started)
    first_code = 0
    while running:
        process, status = os.wait()
        running.discard(process)
        code = os.waitstatus_to_exitcode(status)
        if code and not first_code:
            first_code = code
            for other in running:
                with suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
    return first_code


def forked(work: Callable[[], int]) -> int:
    """The process in which it is called; its result is the exit code."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        code = work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def joined(rank: int, count: int, port: int) -> dict[str, str]:
    """The variables by which a launcher tells a rank of the others; none to one alone."""
    if count == 1:
        return {}
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _rank(rank: int, count: int, port: int, work: Callable[[], None]) -> int:
    os.environ |= joined(rank, count, port)
    work()
    return 0
