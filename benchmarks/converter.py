"""The GGUF converter and quantizer on a sharded 1 GB model, against llama.cpp's own programs.

Peers: convert_hf_to_gguf.py (--llama-cpp PATH of a llama.cpp source tree, such as vendor/llama.cpp
of the llama-cpp-python sdist) and llama-quantize (--llama-quantize PATH). Prints CPU seconds, peak
memory and ratios.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.random_model import make
from llmops_cli.runtime.paths import WORKERS


def cpu_of(argv: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def worker(program: str, work: Path, job: dict[str, object]) -> tuple[dict[str, float], float]:
    folder = work / "job"
    folder.mkdir(exist_ok=True)
    (folder / "input.json").write_text(json.dumps(job))
    cpu_s = cpu_of([sys.executable, str(WORKERS), program, str(folder)])
    return json.loads((folder / "output.json").read_text()), cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-cpp", default=os.environ.get("LLAMA_CPP"))
    parser.add_argument("--llama-quantize", default=os.environ.get("LLAMA_QUANTIZE"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "llmops-benchmarks"
    )
    args = parser.parse_args()
    source = make(args.work / "llama-0.5b")
    ours = args.work / "ours-F16.gguf"
    theirs = args.work / "peer-F16.gguf"
    job = {"model": str(source), "output": str(ours), "scheme": "F16"}
    runs = [worker("llamacpp.convert", args.work, job) for _ in range(args.rounds)]
    cpu = sorted(cpu_s for _, cpu_s in runs)[args.rounds // 2]
    over = max(out["peak_rss_bytes"] - out["import_rss_bytes"] for out, _ in runs)
    print(
        f"convert, 1 GB in {len(list(source.glob('*.safetensors')))} shards: {cpu:.1f} CPU s "
        f"(whole process), "
        f"peak {over / 1e6:.0f} MB over the imports"
    )
    if args.llama_cpp:
        argv = [
            sys.executable,
            f"{args.llama_cpp}/convert_hf_to_gguf.py",
            str(source),
            "--outtype",
            "f16",
            "--outfile",
            str(theirs),
        ]
        peer = sorted(cpu_of(argv) for _ in range(args.rounds))[args.rounds // 2]
        print(f"  llama.cpp's converter: {peer:.1f} CPU s; ours / theirs {cpu / peer:.2f}")
    for scheme in ("Q4_K_M", "Q8_0"):
        out = args.work / f"ours-{scheme}.gguf"
        wish = {
            "model": str(ours),
            "output": str(out),
            "scheme": scheme,
            "imatrix": None,
            "threads": os.cpu_count(),
        }
        rounds = [worker("llamacpp.quantize", args.work, wish) for _ in range(args.rounds)]
        cpu = sorted(cpu_s for _, cpu_s in rounds)[args.rounds // 2]
        print(f"quantize {scheme}: {cpu:.1f} CPU s (whole process)")
        if args.llama_quantize:
            peer_out = args.work / f"peer-{scheme}.gguf"
            argv = [args.llama_quantize, str(ours), str(peer_out), scheme, str(os.cpu_count())]
            peer = sorted(cpu_of(argv) for _ in range(args.rounds))[args.rounds // 2]
            print(f"  llama-quantize: {peer:.1f} CPU s; ours / theirs {cpu / peer:.2f}")
            print(
                f"  identical to llama-quantize's file: {filecmp.cmp(out, peer_out, shallow=False)}"
            )


if __name__ == "__main__":
    main()
