"""Runs in an engine's pod before it is told to end: waits until it runs and queues nothing.

Standard library only. `pods.drain PORT GAUGE,GAUGE SECONDS`: gauges of its /metrics, and how long.
"""

import os
import sys
import time
import urllib.error
import urllib.request

FIRST_S = 10
"""Until nobody sends new requests: a name's answer is kept for some seconds."""
EVERY_S = 1
QUIET_TIMES = 3


def under_way(url: str, gauges: list[str]) -> float:
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode("utf-8", "replace").splitlines()
    total = 0.0
    for line in lines:
        name = line.partition("{")[0].partition(" ")[0]
        if name in gauges:
            total += float(line.rpartition(" ")[2])
    return total


def main() -> None:
    port, named, most_s = sys.argv[1:]
    address = os.environ.get("POD_IP", "127.0.0.1")
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{port}/metrics"
    until = time.monotonic() + float(most_s)
    time.sleep(min(FIRST_S, float(most_s)))
    quiet = 0
    while quiet < QUIET_TIMES and time.monotonic() < until:
        try:
            quiet = quiet + 1 if under_way(url, named.split(",")) == 0 else 0
        except (OSError, ValueError, urllib.error.URLError):
            return  # it has ended by itself
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
