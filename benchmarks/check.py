"""What the check of a conversion costs beside the conversion, and how near each type comes.

    python benchmarks/check.py cost FOLDER       CPU seconds and peak memory of each program
    python benchmarks/check.py types FOLDER      a row of docs/QUANTIZE.md for each GGUF type

Without a folder `cost` takes a random model of 1 GB (benchmarks/random_model.py).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.random_model import make
from llmops_cli.runtime.paths import WORKERS, recipes_dir

TYPES = (
    "F32",
    "F16",
    "BF16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q4_K_M",
    "Q4_0",
    "IQ4_XS",
    "Q3_K_M",
    "Q2_K",
)
FLOATS = ("F32", "F16", "BF16")


def worker(program: str, work: Path, **job: object) -> tuple[dict[str, Any], float]:
    """What a program wrote, and the CPU seconds of its whole process."""
    folder = work / "job"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "input.json").write_text(json.dumps({"threads": os.cpu_count(), **job}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, str(WORKERS), program, str(folder)], capture_output=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(f"{program}: {run.stderr.decode()[-2000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads((folder / "output.json").read_text()), cpu_s


def reference(model: Path, work: Path) -> tuple[dict[str, Any], float]:
    place = work / "reference"
    shutil.rmtree(place, ignore_errors=True)
    text = str(recipes_dir() / "data" / "heldout.txt")
    return worker("hf.reference", work, model=str(model), text=text, output=str(place))


def compare(file: Path, work: Path) -> tuple[dict[str, Any], float]:
    place = str(work / "reference")
    return worker("llamacpp.compare", work, model=str(file), reference=place, beyond_window=False)


def cost(model: Path, work: Path) -> None:
    file = work / "model-F16.gguf"
    steps = {
        "convert": worker(
            "llamacpp.convert", work, model=str(model), scheme="F16", output=str(file)
        ),
        "original": reference(model, work),
        "compare": compare(file, work),
    }
    for name, (found, cpu_s) in steps.items():
        print(f"{name:10} {cpu_s:6.1f} CPU s, peak {found['peak_rss_bytes'] / 1e6:6.0f} MB")
    check_s = steps["original"][1] + steps["compare"][1]
    peaks = [found["peak_rss_bytes"] for found, _ in steps.values()]
    over = max(peaks[1:]) - peaks[0]
    print(f"the check: {check_s:.1f} CPU s, {over / 1e6:.0f} MB over the conversion's peak")
    print(f"KL {steps['compare'][0]['kl_divergence']:.2g} nats")


def types(model: Path, work: Path) -> None:
    reference(model, work)
    base = work / "model-F16.gguf"
    worker("llamacpp.convert", work, model=str(model), scheme="F16", output=str(base))
    for scheme in TYPES:
        file = work / f"model-{scheme}.gguf"
        if scheme in FLOATS:
            worker("llamacpp.convert", work, model=str(model), scheme=scheme, output=str(file))
        else:
            job = {"model": str(base), "scheme": scheme, "output": str(file), "imatrix": None}
            worker("llamacpp.quantize", work, **job)
        found, _ = compare(file, work)
        share = found["kl_divergence"] / found["known_nats"]
        print(
            f"| {scheme} | {found['kl_divergence']:.2g} | {share:.1e} | "
            f"{found['top1_agreement']:.1%} | {found['texts_different']} |",
            flush=True,
        )
        if scheme != "F16":
            file.unlink()


def main() -> None:
    what, *rest = sys.argv[1:] or ["cost"]
    scratch = Path(tempfile.gettempdir()) / "llmops-benchmarks"
    model = Path(rest[0]) if rest else make(scratch / "llama-0.5b")
    with tempfile.TemporaryDirectory() as work:
        {"cost": cost, "types": types}[what](model, Path(work))


if __name__ == "__main__":
    main()
