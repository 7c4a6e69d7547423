"""What an engine and its server look like once a second while a load runs.

CPU, memory, GPU, and the server's /metrics.
"""

from __future__ import annotations

import threading
import time
from functools import cache

import psutil

from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.memory import gpu_handles

EVERY_S = 1.0
MOST_SAMPLES = 7200
MOST_MISSES = 3
"""Scrapes without an answer after which a server is taken to have no metrics."""
AVERAGED = "kv_cache_use"
"""The gauge whose label sets are averaged; the others' are added."""

Gauges = dict[str, float]
MetricsSample = tuple[int, Gauges, Gauges]
"""(monotonic ns, engine, server)"""
TimedSample = tuple[float, Gauges, Gauges]
"""(seconds since some start, engine, server)"""


@cache
def gauge_names() -> dict[str, str]:
    """A name in some engine's /metrics -> our name."""
    found = {}
    for engine in ENGINES:
        for ours, theirs in load_engine(engine).facts.metrics.items():
            found.update(dict.fromkeys(theirs, ours))
    return found


def read_metrics(text: str) -> Gauges:
    """Known gauges of a Prometheus exposition, under our names."""
    values: dict[str, list[float]] = {}
    names = gauge_names()
    for line in text.split("\n"):
        separator = "{" if "{" in line else " "
        name, _, rest = line.partition(separator)
        if name not in names:
            continue
        try:
            value = _value_in(rest)
        except (IndexError, ValueError):
            continue
        ours = names[name]
        values.setdefault(ours, []).append(value)
    totals = {}
    for gauge, found in values.items():
        total = sum(found)
        if gauge == AVERAGED:
            total /= len(found)
        totals[gauge] = total
    return totals


def _value_in(rest: str) -> float:
    """The value after the labels and before the time, if there are any."""
    _, _, ending = rest.rpartition("}")
    words = ending.split()
    return float(words[0])


class Telemetry:
    """Samples until `stop`.

    `guard_pid` is the root of our engine's processes, None for a server we did not start.
    """

    def __init__(
        self,
        url: str,
        *,
        guard_pid: int | None,
        http: Http,
    ) -> None:
        self._url = f"{url}/metrics"
        self._pid = guard_pid
        self._http = http
        self._gpus = gpu_handles()
        self._cpu_s: dict[int, float] = {}
        self._cpu_at = time.monotonic()
        self._samples: list[MetricsSample] = []
        self._misses = 0
        self._done = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            daemon=True,
            name="telemetry",
        )
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def between(self, start_ns: int, end_ns: int) -> list[TimedSample]:
        """Samples of a stretch, their times in seconds from its start."""
        found = []
        for at_ns, engine, server in list(self._samples):
            if start_ns <= at_ns <= end_ns:
                after_s = (at_ns - start_ns) / 1e9
                found.append((after_s, engine, server))
        return found

    def _run(self) -> None:
        while not self._done.is_set():
            at_ns = time.monotonic_ns()
            server = self._scrape()
            engine = self._engine()
            if engine or server:
                self._samples.append((at_ns, engine, server))
            if len(self._samples) > MOST_SAMPLES:
                del self._samples[::2]
            took_s = (time.monotonic_ns() - at_ns) / 1e9
            self._done.wait(max(0.0, EVERY_S - took_s))

    def _scrape(self) -> Gauges:
        if self._misses >= MOST_MISSES:
            return {}
        text = self._http.get_text(self._url, timeout_s=1.0)
        if text is None:
            self._misses += 1
            return {}
        self._misses = 0
        return read_metrics(text)

    def _engine(self) -> Gauges:
        found: Gauges = {}
        if self._pid is not None:
            found |= self._process_tree(self._pid)
        return found | gpu_gauges(self._gpus)

    def _process_tree(self, pid: int) -> Gauges:
        try:
            tree = psutil.Process(pid).children(recursive=True)
        except psutil.Error:
            return {}
        rss_bytes = 0.0
        cpu_s: dict[int, float] = {}
        for process in tree:
            try:
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                rss_bytes += process.memory_info().rss
            except psutil.Error:
                continue
        gauges = {"rss_bytes": rss_bytes}
        cores = self._cores_used(cpu_s)
        if cores is not None:
            gauges["cpu_cores"] = round(cores, 3)
        return gauges

    def _cores_used(self, cpu_s: dict[int, float]) -> float | None:
        """CPU seconds a second since the last look; None at the first."""
        at = time.monotonic()
        seconds = at - self._cpu_at
        before = self._cpu_s
        self._cpu_s = cpu_s
        self._cpu_at = at
        if not before or seconds <= 0:
            return None
        known = cpu_s.keys() & before.keys()
        used_s = 0.0
        for pid in known:
            more_s = cpu_s[pid] - before[pid]
            used_s += max(0.0, more_s)
        return used_s / seconds


def gpu_gauges(gpus: list[object]) -> Gauges:
    """Of all GPUs together: mean utilisation, memory and power."""
    if not gpus:
        return {}
    import pynvml

    found = {"gpu_use": 0.0, "gpu_memory_bytes": 0.0, "gpu_power_w": 0.0}
    for gpu in gpus:
        try:
            rates = pynvml.nvmlDeviceGetUtilizationRates(gpu)
            found["gpu_use"] += rates.gpu / 100 / len(gpus)
            found["gpu_memory_bytes"] += pynvml.nvmlDeviceGetMemoryInfo(gpu).used
            found["gpu_power_w"] += pynvml.nvmlDeviceGetPowerUsage(gpu) / 1e3
        except pynvml.NVMLError:
            continue
    return found
