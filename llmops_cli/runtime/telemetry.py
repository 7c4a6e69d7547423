"""What engine and server look like once a second while a load runs: CPU, memory, GPU, and the
server's /metrics.
"""

from __future__ import annotations

import threading
import time

import psutil

from llmops_cli.runtime.http import Http
from llmops_cli.runtime.memory import gpu_handles

EVERY_S = 1.0
MOST_SAMPLES = 7200

SERVER_METRICS: dict[str, tuple[str, ...]] = {
    "running": (
        "vllm:num_requests_running",
        "tgi_batch_current_size",
        "sglang:num_running_reqs",
        "llamacpp:requests_processing",
        "llmops_running",
    ),
    "queued": (
        "vllm:num_requests_waiting",
        "tgi_queue_size",
        "sglang:num_queue_reqs",
        "llamacpp:requests_deferred",
        "llmops_waiting",
    ),
    "kv_cache_use": (
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
        "sglang:token_usage",
        "llamacpp:kv_cache_usage_ratio",
        "llmops_kv_use",
    ),
    "batch_tokens": ("llmops_batch_tokens", "tgi_batch_current_max_tokens"),
}
"""Our names for what engines call differently. Values of several label sets are added (KV use:
averaged).
"""

Sample = tuple[int, dict[str, float], dict[str, float]]
"""(monotonic ns, engine, server)"""


def read_metrics(text: str) -> dict[str, float]:
    """Known gauges of a Prometheus exposition, under our names."""
    found: dict[str, list[float]] = {}
    names = {theirs: ours for ours, all_theirs in SERVER_METRICS.items() for theirs in all_theirs}
    for line in text.splitlines():
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        ours = names.get(name)
        if ours is None:
            continue
        try:
            value = float(rest.rpartition("}")[2].split()[0])
        except (IndexError, ValueError):
            continue
        found.setdefault(ours, []).append(value)
    return {
        name: sum(values) / len(values) if name == "kv_cache_use" else sum(values)
        for name, values in found.items()
    }


class Telemetry:
    """Samples until `stop`. `guard_pid` is the root of our engine's processes, None for a server we
    did not start.
    """

    def __init__(self, url: str, *, guard_pid: int | None, http: Http) -> None:
        self._url = f"{url}/metrics"
        self._pid = guard_pid
        self._http = http
        self._gpus = gpu_handles()
        self._cpu: dict[int, float] = {}
        self._cpu_at = time.monotonic()
        self._samples: list[Sample] = []
        self._scrapes = True
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="telemetry")
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def between(
        self, start_ns: int, end_ns: int
    ) -> list[tuple[float, dict[str, float], dict[str, float]]]:
        """Samples of a stretch, their times in seconds from its start."""
        return [
            ((at - start_ns) / 1e9, e, s)
            for at, e, s in list(self._samples)
            if start_ns <= at <= end_ns
        ]

    def _run(self) -> None:
        misses = 0
        while not self._done.is_set():
            at = time.monotonic_ns()
            server: dict[str, float] = {}
            if self._scrapes:
                text = self._http.get_text(self._url, timeout_s=1.0)
                misses = misses + 1 if text is None else 0
                self._scrapes = misses < 3
                server = read_metrics(text) if text else {}
            engine = self._engine()
            if engine or server:
                self._samples.append((at, engine, server))
                if len(self._samples) > MOST_SAMPLES:
                    del self._samples[::2]
            self._done.wait(max(0.0, EVERY_S - (time.monotonic_ns() - at) / 1e9))

    def _engine(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self._pid is not None:
            found |= self._tree(self._pid)
        return found | self._gpu()

    def _tree(self, pid: int) -> dict[str, float]:
        try:
            tree = psutil.Process(pid).children(recursive=True)
        except psutil.Error:
            return {}
        rss = used = 0.0
        cpu: dict[int, float] = {}
        for process in tree:
            try:
                times = process.cpu_times()
                cpu[process.pid] = times.user + times.system
                rss += process.memory_info().rss
            except psutil.Error:
                continue
        at = time.monotonic()
        used = sum(
            max(0.0, seconds - self._cpu.get(pid, 0.0))
            for pid, seconds in cpu.items()
            if pid in self._cpu
        )
        seconds = at - self._cpu_at
        known = bool(self._cpu)
        self._cpu = cpu
        self._cpu_at = at
        return {"rss_bytes": rss} | (
            {"cpu_cores": round(used / seconds, 3)} if known and seconds > 0 else {}
        )

    def _gpu(self) -> dict[str, float]:
        """Of all GPUs together: mean utilisation, memory and power."""
        if not self._gpus:
            return {}
        import pynvml

        found: dict[str, float] = {}
        for handle in self._gpus:
            try:
                rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
                found["gpu_use"] = found.get("gpu_use", 0.0) + rates.gpu / 100 / len(self._gpus)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle).used
                found["gpu_memory_bytes"] = found.get("gpu_memory_bytes", 0.0) + memory
                found["gpu_power_w"] = (
                    found.get("gpu_power_w", 0.0) + pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3
                )
            except pynvml.NVMLError:
                continue
        return found
