"""How long each engine takes from its start to its first token, cold and warm, in one run.

    python benchmarks/start_up.py [--model smollm2] [--rounds 3] [--engines llamacpp,vllm]

Cold: the kernel was told to forget the weights' pages and, with them, the engine's libraries
(`--keep-libraries` leaves those). Prints the medians of process, load and first token (METRICS.md
has what each is), and what share of the weights lay in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.core.progress import Silent
from llmops_cli.runtime.http import Http
from llmops_cli.serving.first_token import first_token_s
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target

FORGET = os.POSIX_FADV_DONTNEED
LIBRARIES = (".so", ".py", ".pyc")


class Times(NamedTuple):
    process_s: float
    load_s: float
    first_token_s: float
    cached_share: float


def forget(root: Path, *, suffixes: tuple[str, ...] = ()) -> None:
    """Pages that no process has mapped leave main memory."""
    files = [root] if root.is_file() else [each for each in root.rglob("*") if each.is_file()]
    for file in files:
        if suffixes and file.suffix not in suffixes and ".so." not in file.name:
            continue
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, FORGET)
        finally:
            os.close(descriptor)


def libraries_of(target: PreparedTarget) -> Path | None:
    if target.env is None:
        return None
    return Path(target.env.python).parent.parent / "lib"


def times_of(target: PreparedTarget) -> Times:
    with (
        tempfile.TemporaryDirectory() as folder,
        started(target, folder=Path(folder), parallel=4, progress=Silent()) as server,
    ):
        first_s = first_token_s(server, Http())
    startup = server.startup
    if startup is None:
        raise SystemExit("this engine was not started here")
    return Times(
        startup.process_s or 0.0,
        startup.load_s or 0.0,
        first_s or 0.0,
        startup.cached_share or 0.0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--engines", default="llamacpp,transformers,ctranslate2,vllm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep-libraries", action="store_true")
    args = parser.parse_args()
    for name in args.engines.split(","):
        wish = EngineTarget(backend=name, model=args.model)
        target = prepare_target(wish, progress=Silent())
        for kind in ("cold", "warm"):
            rounds = []
            for _ in range(args.rounds):
                libraries = libraries_of(target)
                if kind == "cold" and target.artifact.path is not None:
                    forget(Path(target.artifact.path))
                    if libraries is not None and not args.keep_libraries:
                        forget(libraries, suffixes=LIBRARIES)
                rounds.append(times_of(target))
            values = [median(column) for column in zip(*rounds, strict=True)]
            found = Times(*values)
            print(
                f"{name}, {kind}: process {found.process_s:.1f} s, load {found.load_s:.1f} s, "
                f"first token {found.first_token_s:.2f} s; "
                f"{found.cached_share:.0%} of its weights lay in memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
