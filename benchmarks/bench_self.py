"""`llmops bench` against the truth and against its peers, in one run on one machine (`make
bench-self`).

The truth is the log of benchmarks/mockllm.c, a C server that writes one event per token. Peers:
vllm bench serve, guidellm and aiperf, each in an environment of its own under --peers (gigabytes;
--no-peers leaves them out).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import load_peers
from benchmarks.random_model import write_tokenizer
from llmops_cli.bench.compare import compare
from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.saved import load_run
from llmops_cli.runtime.runs import load_report

HERE = Path(__file__).parent
PACED = ("--ttft-ms", "50", "--itl-ms", "10")
STREAMS = {64: 640, 256: 1280, 1024: 2048}


class Answer(NamedTuple):
    """A line of the mock's log."""

    received_ns: int
    first_ns: int
    last_ns: int
    tokens: int
    ending: str
    request_id: str

    @property
    def ttft_ms(self) -> float:
        return (self.first_ns - self.received_ns) / 1e6

    @property
    def tpot_ms(self) -> float:
        return (self.last_ns - self.first_ns) / 1e6 / max(1, self.tokens - 1)


class Mock:
    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def answers(self, *, streamed: bool = True) -> list[Answer]:
        """What it did; complete once it has stopped."""
        rows = [line.split() for line in self._log.read_text().splitlines()]
        return [
            Answer(int(r[1]), int(r[2]), int(r[3]), int(r[4]), r[5], r[8])
            for r in rows
            if len(r) >= 9 and (r[6] == "stream" or not streamed)
        ]


@contextmanager
def mock(work: Path, *options: str) -> Iterator[Mock]:
    binary = work / "mockllm"
    if not binary.exists():
        subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "mockllm.c"), "-lm"], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = work / f"mock-{port}.log"
    server = subprocess.Popen(
        [binary, "--port", str(port), "--quiet", "--log", log, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield Mock(port, log)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


def ours(url: str, out: Path, *options: object) -> dict[str, Any]:
    """Runs `llmops bench` and returns its report. The mock sends no usage to a question, so tokens
    are words.
    """
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        "--url",
        url,
        "-o",
        out,
        "--json",
        "--allow-invalid",
    ]
    run = subprocess.run([*map(str, argv), *map(str, options)], capture_output=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr.decode()[-500:])
    return dict(json.loads(run.stdout))


def peer(
    name: str, script: Path, url: str, out: Path, *, tokenizer: Path, streams: int, requests: int
) -> load_peers.PeerRun:
    out.mkdir(parents=True)
    argv = load_peers.argv(
        name,
        script,
        url=url,
        tokenizer=tokenizer,
        streams=streams,
        requests=requests,
        input_tokens=64,
        output_tokens=128,
        out=out,
    )
    run = subprocess.run(
        argv, env=load_peers.env(), capture_output=True, check=False, cwd=out, timeout=900
    )
    if run.returncode:
        raise RuntimeError(f"{name}: {run.stderr.decode()[-500:]}")
    return load_peers.read(name, out)


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Self:
    """All the measurements, each printed as it is made and kept in `found`."""

    def __init__(self, work: Path, peers: dict[str, Path], tokenizer: Path) -> None:
        self.work = work
        self.peers = peers
        self.tokenizer = tokenizer
        self.found: dict[str, Any] = {}
        self._runs = 0

    def out(self) -> Path:
        self._runs += 1
        return self.work / f"run-{self._runs}"

    def say(self, key: str, text: str, value: object) -> None:
        self.found[key] = value
        print(f"  {text}", flush=True)

    def run_peer(
        self, name: str, url: str, *, streams: int, requests: int
    ) -> load_peers.PeerRun | None:
        try:
            return peer(
                name,
                self.peers[name],
                url,
                self.out(),
                tokenizer=self.tokenizer,
                streams=streams,
                requests=requests,
            )
        except (RuntimeError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"  {name} failed: {str(error)[-200:]}")
            return None

    def cpu(self) -> None:
        """CPU seconds of everything the client runs, of a long run less a short one: start-up is
        not counted.
        """
        print(
            "\nclient CPU seconds per 1M streamed tokens (128 tokens, 64 streams, one event a "
            "token; target 5)"
        )
        sizes = {"llmops": (640, 6400), **dict.fromkeys(self.peers, (128, 1152))}
        for name, (few, many) in sizes.items():
            used = []
            for requests in (few, many):
                with mock(self.work, "--itl-ms", "0") as server:
                    before = children_cpu_s()
                    if name == "llmops":
                        ours(
                            server.url,
                            self.out(),
                            "--concurrency",
                            64,
                            "--requests",
                            requests,
                            "--output-tokens",
                            128,
                        )
                    elif self.run_peer(name, server.url, streams=64, requests=requests) is None:
                        break
                    # the mock is a child too, but it is reaped later, when the block ends
                    used.append(children_cpu_s() - before)
            if len(used) == 2:
                each = (used[1] - used[0]) / ((many - few) * 128) * 1e6
                self.say(f"cpu_s_per_1m.{name}", f"{name:9} {each:6.2f}", each)

    def launch(self) -> None:
        print("\nlaunch to first request in s, against a ready server (target 0.5)")
        for name in ("llmops", *self.peers):
            times = []
            for _ in range(5 if name == "llmops" else 1):
                with mock(self.work, "--ttft-ms", "5", "--itl-ms", "1") as server:
                    start = time.monotonic_ns()
                    if name == "llmops":
                        ours(server.url, self.out(), "--concurrency", 1, "--requests", 4)
                    elif self.run_peer(name, server.url, streams=1, requests=4) is None:
                        break
                first = min(
                    (a.received_ns for a in server.answers() if a.received_ns > start), default=None
                )
                if first:
                    times.append((first - start) / 1e9)
            if times:
                middle = statistics.median(times)
                self.say(f"launch_s.{name}", f"{name:9} {middle:6.2f}", middle)

    def accuracy(self) -> None:
        print(
            "\nerror of TTFT p50 and of mean TPOT in ms against the server's log (targets 1 / 3 "
            "/ 10, and 0.25)"
        )
        for streams, requests in STREAMS.items():
            for name in ("llmops", *self.peers):
                with mock(self.work, *PACED) as server:
                    if name == "llmops":
                        report = ours(
                            server.url,
                            self.out(),
                            "--concurrency",
                            streams,
                            "--requests",
                            requests,
                            "--output-tokens",
                            128,
                        )
                        (level,) = report["levels"]
                        ttft = level["ttft_ms"]["p50"]
                        tpot = level["tpot_ms"]["mean"]
                    else:
                        run = self.run_peer(name, server.url, streams=streams, requests=requests)
                        if run is None or run.ttft_p50_ms is None or run.tpot_mean_ms is None:
                            continue
                        ttft = run.ttft_p50_ms
                        tpot = run.tpot_mean_ms
                told = [a for a in server.answers() if a.ending == "ok" and a.tokens > 1]
                ttft_error = ttft - statistics.median(a.ttft_ms for a in told)
                tpot_error = tpot - statistics.fmean(a.tpot_ms for a in told)
                self.say(
                    f"error_ms.{streams}.{name}",
                    f"{streams:5} streams  {name:9} TTFT {ttft_error:+9.3f}   "
                    f"TPOT {tpot_error:+8.4f}",
                    [ttft_error, tpot_error],
                )

    def pitfalls(self) -> None:
        print("\npitfalls (truth from the server's log)")
        cases = {
            "role chunk at once": ("--role-chunk", "2"),
            "4 tokens a chunk": ("--tokens-per-chunk", "4"),
        }
        for case, options in cases.items():
            for name in ("llmops", *self.peers):
                with mock(self.work, *PACED, *options) as server:
                    if name == "llmops":
                        report = ours(
                            server.url,
                            self.out(),
                            "--concurrency",
                            16,
                            "--requests",
                            128,
                            "--output-tokens",
                            128,
                        )
                        (level,) = report["levels"]
                        ttft, tpot, itl = (
                            level[f"{m}_ms"]["mean" if m != "ttft" else "p50"]
                            for m in ("ttft", "tpot", "itl")
                        )
                    else:
                        run = self.run_peer(name, server.url, streams=16, requests=64)
                        if run is None:
                            continue
                        ttft = run.ttft_p50_ms
                        tpot = run.tpot_mean_ms
                        itl = run.itl_mean_ms
                told = [a for a in server.answers() if a.ending == "ok" and a.tokens > 1]
                truth = (
                    statistics.median(a.ttft_ms for a in told),
                    statistics.fmean(a.tpot_ms for a in told),
                )
                self.say(
                    f"pitfall.{case}.{name}",
                    f"{case:19} {name:9} TTFT p50 {ttft or 0:6.1f} (true {truth[0]:.1f})   "
                    f"TPOT {tpot or 0:6.2f}   ITL {itl or 0:6.2f} per token (true {truth[1]:.2f})",
                    [ttft, tpot, itl, *truth],
                )
        for option in ("--error-rate", "--drop-rate"):
            with mock(self.work, "--ttft-ms", "5", "--itl-ms", "1", option, "0.2") as server:
                out = self.out()
                report = ours(
                    server.url,
                    out,
                    "--concurrency",
                    16,
                    "--requests",
                    500,
                    "--output-tokens",
                    32,
                    "--warmup",
                    0,
                )
                (level,) = report["levels"]
            bad = sum(
                a.ending != "ok" and "llmops-" in a.request_id
                for a in server.answers(streamed=False)
            )
            with (out / "records.csv").open() as file:
                good_tokens = sum(
                    int(r["output_tokens"]) for r in csv.DictReader(file) if not r["error"]
                )
            self.say(
                f"pitfall.{option}",
                f"{option} 0.2       llmops    {level['errors']} errors of "
                f"{level['requests']} (server: {bad}), {level['error_kinds']}; {good_tokens} "
                f"tokens are counted, "
                "none of a failed request",
                [level["errors"], bad],
            )

    def memory(self, many: int) -> None:
        print(
            f"\npeak memory of the client in MB, at 10,000 and at {many:,} requests (8 tokens each)"
        )
        sizes = {}
        for requests in (10_000, many):
            with mock(self.work, "--itl-ms", "0") as server:
                out = self.out()
                argv = [
                    sys.executable,
                    "-m",
                    "llmops_cli",
                    "bench",
                    "--url",
                    server.url,
                    "-o",
                    str(out),
                    "--concurrency",
                    "64",
                    "--requests",
                    str(requests),
                    "--output-tokens",
                    "8",
                    "--allow-invalid",
                ]
                start = time.monotonic()
                process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
                _pid, status, used = os.wait4(process.pid, 0)
                if status:
                    raise RuntimeError(f"llmops bench exited with {status}")
                took = time.monotonic() - start
            report = load_report(out)
            assert isinstance(report, BenchReport)
            worker = report.levels[0].client.peak_rss_bytes or 0
            for path in out.iterdir():
                path.unlink()
            sizes[requests] = (worker / 1e6, used.ru_maxrss * 1024 / 1e6)
            self.say(
                f"memory_mb.{requests}",
                f"{requests:9,} requests: worker {sizes[requests][0]:6.1f}, "
                f"parent {sizes[requests][1]:6.1f}   ({took:.0f} s)",
                sizes[requests],
            )

    def comparison(self, seeds: int) -> None:
        print(f"\ncomparing runs over {seeds} seeds (200 requests, 16 streams, TTFT 50 ms +-30 %)")
        jitter = ("--itl-ms", "1", "--jitter", "0.3")
        alarms = found = any_faster = 0
        with (
            mock(self.work, "--ttft-ms", "50", *jitter) as base,
            mock(self.work, "--ttft-ms", "55", *jitter) as slow,
        ):
            for seed in range(seeds):
                runs = []
                for server in (base, base, slow):
                    out = self.out()
                    ours(
                        server.url,
                        out,
                        "--concurrency",
                        16,
                        "--requests",
                        200,
                        "--output-tokens",
                        16,
                        "--seed",
                        seed,
                    )
                    report = load_report(out)
                    assert isinstance(report, BenchReport)
                    runs.append(load_run(out, report))
                same = compare(runs[0], runs[1])
                worse = compare(runs[0], runs[2])
                alarms += any(d.verdict != "can't tell" for d in same.differences)
                verdicts = {d.metric: d.verdict for d in worse.differences}
                found += "slower" in (verdicts.get("ttft_ms.shift"), verdicts.get("ttft_ms.p50"))
                any_faster += "faster" in verdicts.values()
        self.say(
            "aa.false_alarms",
            f"A/A: any verdict at all in {alarms} of {seeds} (target: at most 5 %)",
            alarms / seeds,
        )
        self.say(
            "ab.found",
            f"+10 % TTFT: found in {found} of {seeds} (target: at least 95 %), called faster in "
            f"{any_faster}",
            found / seeds,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="launch,cpu,accuracy,pitfalls,memory,comparison")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "llmops-peers")
    parser.add_argument(
        "--requests", type=int, default=1_000_000, help="of the long run of the memory test"
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    peers = (
        {}
        if args.no_peers
        else {name: load_peers.ensure(name, args.peers) for name in load_peers.PEERS}
    )
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tokenizer = work / "tokenizer"
        tokenizer.mkdir()
        if peers:
            write_tokenizer(tokenizer)
            (tokenizer / "config.json").write_text('{"model_type": "llama"}')
        run = Self(work, peers, tokenizer)
        steps = {
            "launch": run.launch,
            "cpu": run.cpu,
            "accuracy": run.accuracy,
            "pitfalls": run.pitfalls,
            "memory": lambda: run.memory(args.requests),
            "comparison": lambda: run.comparison(args.seeds),
        }
        for step in args.only.split(","):
            steps[step]()
        if args.json:
            args.json.write_text(json.dumps(run.found, indent=2) + "\n")


if __name__ == "__main__":
    main()
