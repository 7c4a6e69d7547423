"""How much slower this machine is than the one that bounds in seconds were written on."""

import time

USUAL_LOOP_S = 0.3
TURNS = 5_000_000


def slowness() -> float:
    """1 on a machine as quick, or quicker; by the CPU time of a loop, the least of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        sum(number * number for number in range(TURNS))
        found.append(time.process_time() - start)
    return max(1.0, min(found) / USUAL_LOOP_S)
