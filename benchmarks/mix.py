"""Mixed types against llama.cpp's own mixtures at equal size, by KL divergence on held-out text.

    python benchmarks/mix.py smollm2 ./my-model --schemes Q3_K_M,Q4_K_M,Q5_K_M

For each model and scheme: llama.cpp's file first, then a mix that may be as large and no larger,
both judged over the same held-out text in the same way. A ratio below 1 is ours to the good.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]
MB = 1_000_000


def quantized(model: str, folder: Path, options: list[str]) -> Json:
    """The last artifact of one run."""
    argv = [sys.executable, "-m", "llmops_cli", "quantize", model, *options]
    argv += ["--no-verify", "-o", str(folder), "--json"]
    run = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    report: Json = json.loads(run.stdout)
    found: Json = report["artifacts"][-1]
    return found


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(model: str, scheme: str, folder: Path, options: list[str]) -> None:
    theirs = quantized(model, folder, ["--scheme", scheme, *options])
    before_s = children_cpu_s()
    began_s = time.monotonic()
    fit = ["--mix", "auto", "--fit", str(theirs["size_bytes"])]
    ours = quantized(model, folder, [*fit, *options])
    wall_s = time.monotonic() - began_s
    cpu_s = children_cpu_s() - before_s
    ratio = ours["kl_divergence"] / theirs["kl_divergence"]
    predicted = ours["mixture"]["predicted_loss"]
    print(
        f"{Path(model).name} {scheme}: {theirs['size_bytes'] / MB:.3f} MB, "
        f"KL {theirs['kl_divergence']:.5f}, top-1 {theirs['top1_agreement']:.1%}; "
        f"mix {ours['size_bytes'] / MB:.3f} MB, KL {ours['kl_divergence']:.5f} "
        f"(predicted {predicted:.5f}), top-1 {ours['top1_agreement']:.1%}; "
        f"ratio {ratio:.2f}; {cpu_s:.0f} CPU s, {wall_s:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--schemes", default="Q3_K_M,Q4_K_M,Q5_K_M")
    parser.add_argument("--options", default="", help="more of llmops quantize, as one string")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "llmops-benchmarks" / "mix"
    )
    args = parser.parse_args()
    for model in args.models:
        folder = args.work / Path(model).name
        for scheme in args.schemes.split(","):
            compare(model, scheme, folder, args.options.split())


if __name__ == "__main__":
    main()
