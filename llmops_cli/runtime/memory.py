"""Peak memory of a process tree, sampled while it runs."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from llmops_cli.core.report import Memory

SAMPLE_EVERY_S = 0.1
RESTS = 100
"""A sample is followed by a rest of so many times what it cost: the meter takes at most 1 % of a
core from what it measures, however many processes the machine has."""
PSS_EVERY = 10
"""PSS walks every mapping of a process in the kernel, so it is read once a second."""


class MemoryMeter:
    """Samples the tree below `guard_pid` (the guard itself excluded) until `stop`."""

    def __init__(self, guard_pid: int) -> None:
        self._root = guard_pid
        self._done = threading.Event()
        self._rss = 0
        self._pss: int | None = None
        self._gpu: int | None = None
        self._high_water: dict[int, int] = {}
        self._gpu_handles = gpu_handles()
        self._thread = threading.Thread(
            target=self._run,
            daemon=True,
            name="memory-meter",
        )
        self._thread.start()

    def stop(self) -> Memory:
        """The peaks so far; further calls return the same."""
        self._done.set()
        self._thread.join(timeout=5)
        rss = self._rss
        if len(self._high_water) == 1:
            # one process: the kernel's own high-water mark misses no spike
            rss = max(rss, *self._high_water.values())
        return Memory(
            engine_peak_rss_bytes=rss or None,
            engine_peak_pss_bytes=self._pss,
            engine_peak_gpu_bytes=self._gpu,
        )

    def _run(self) -> None:
        tick = 0
        is_done = False
        while not is_done:
            before = time.thread_time()
            with suppress(OSError):  # no file number left: the next sample may have one
                self._sample(read_pss=tick % PSS_EVERY == 0)
            tick += 1
            spent_s = time.thread_time() - before
            is_done = self._done.wait(max(SAMPLE_EVERY_S, RESTS * spent_s))

    def _sample(self, *, read_pss: bool) -> None:
        tree = processes_below(self._root)
        rss = 0
        pss = 0
        for process in tree:
            try:
                rss += process.memory_info().rss
                self._high_water[process.pid] = _high_water_bytes(process.pid)
                if read_pss:
                    pss += getattr(process.memory_full_info(), "pss", 0)
            except psutil.Error:
                continue
        self._rss = max(self._rss, rss)
        if pss:
            self._pss = max(self._pss or 0, pss)
        if self._gpu_handles:
            pids = {process.pid for process in tree}
            gpu = _gpu_bytes(self._gpu_handles, pids)
            self._gpu = max(self._gpu or 0, gpu)


def processes_below(root: int) -> list[psutil.Process]:
    """Every process below `root`, itself excluded."""
    found: list[psutil.Process] = []
    try:
        for pid in _pids_below(root):
            with suppress(psutil.Error):  # it ended meanwhile
                found.append(psutil.Process(pid))
    except OSError:  # one ended meanwhile, or a kernel without these lists
        with suppress(psutil.Error):
            return psutil.Process(root).children(recursive=True)
    return found


def _pids_below(root: int) -> list[int]:
    """By the kernel's own lists: psutil reads the state of every process of the machine.

    Raises: OSError where the kernel has no such lists.
    """
    found: list[int] = []
    waiting = [root]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
            children = [int(pid) for pid in (task / "children").read_text().split()]
            found += children
            waiting += children
    return found


def _high_water_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            words = line.split()
            return int(words[1]) * 1024
    return 0


def gpu_handles() -> list[object]:
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    except Exception:  # noqa: BLE001 - no driver, no library or no rights: no GPU to measure
        return []


def _gpu_bytes(handles: list[object], pids: set[int]) -> int:
    import pynvml

    total = 0
    for handle in handles:
        with suppress(Exception):  # of a driver older than the library, it is none of NVML's own
            for entry in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if entry.pid in pids:
                    total += entry.usedGpuMemory or 0
    return total
