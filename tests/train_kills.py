"""Kills a tiny run at moments drawn by seed, lets it go on, and compares it with one unbroken run.

    python -m tests.train_kills --seeds 0:200 [--strategy fsdp] [--folder DIR]

prints a line a moment and ends with 1 if any of them failed. A moment is any time of the run, or
shortly after a save has begun; killed are one rank, all, or the launcher; now and then twice. The
run then goes on in the same layout, and must end with the same bits, or in another one.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from train_ranks import Json, Launched

RANKS = 2
TOLERANCE = 1e-5
SPAN = 0.9
"""Of the time of the unbroken run: its last moments are after its last save."""
LAYOUTS = [("single", 1), ("ddp", 4)]


class Moment(NamedTuple):
    """saves: kill so many begun saves later, or None: `share` of the run's time after its start."""

    seed: int
    victim: str
    saves: int | None
    share: float


class Unbroken(NamedTuple):
    output: Json
    wall_s: float
    save_s: float


def moment_of(draw: random.Random, seed: int, most_saves: int) -> Moment:
    victim = draw.choice(["rank 0", "rank 1", "all", "launcher"])
    saves = draw.randrange(most_saves) if draw.random() < 0.6 else None
    return Moment(seed, victim, saves, draw.random())


def job_of(folder: Path, strategy: str) -> Json:
    return {
        "settings": {"strategy": strategy},
        "output": str(folder / "run"),
        "weights": True,
    }


def unbroken(folder: Path, strategy: str) -> Unbroken:
    start_s = time.monotonic()
    run = Launched(folder / "job", job_of(folder, strategy), RANKS)
    assert run.wait() == [0] * RANKS, (folder / "job/fork-0.log").read_text()
    output = run.output()
    longest_s = max(save["wall_s"] for save in output["saves"])
    return Unbroken(output, time.monotonic() - start_s, longest_s)


def kill_at(moment: Moment, folder: Path, strategy: str, whole: Unbroken) -> bool:
    """Whether it was killed before it ended."""
    run = Launched(folder / "job", job_of(folder, strategy), RANKS)
    is_going = _wait_for(moment, folder, run, whole)
    if is_going:
        victims = {
            "rank 0": run.ranks[:1],
            "rank 1": run.ranks[1:2],
            "all": run.ranks,
            "launcher": [run.launcher],
        }
        run.signal(victims[moment.victim])
    run.wait()
    return is_going


def _wait_for(moment: Moment, folder: Path, run: Launched, whole: Unbroken) -> bool:
    if moment.saves is None:
        time.sleep(moment.share * SPAN * whole.wall_s)
        return not run.has_ended()
    seen: set[str] = set()
    while len(seen) <= moment.saves:
        if run.has_ended():
            return False
        root = folder / "run/checkpoints"
        if root.is_dir():
            seen |= {path.name for path in root.iterdir() if ".tmp-" in path.name}
        time.sleep(0.001)
    time.sleep(moment.share * whole.save_s)
    return not run.has_ended()


def try_moment(seed: int, folder: Path, strategy: str, whole: Unbroken) -> str:
    """What was done; raises AssertionError if the run that went on is not the unbroken one."""
    draw = random.Random(seed)
    moments = [moment_of(draw, seed, 7)]
    if draw.random() < 0.25:
        moments.append(moment_of(draw, seed, 2))
    layout = (strategy, RANKS)
    if draw.random() < 0.3:
        layout = draw.choice(LAYOUTS)
    told = []
    for moment in moments:
        is_killed = kill_at(moment, folder, strategy, whole)
        when = "any time" if moment.saves is None else f"in save {moment.saves + 1}"
        told.append(f"{moment.victim} {when}" if is_killed else "too late")
    run = Launched(folder / "job", job_of(folder, layout[0]), layout[1])
    codes = run.wait()
    assert codes == [0] * layout[1], (codes, (folder / "job/fork-0.log").read_text()[-2000:])
    output = run.output()
    compare(output, whole.output, is_same=layout == (strategy, RANKS))
    check_ids(folder / "run", steps=len(output["losses"]))
    leftovers = [path.name for path in (folder / "run/checkpoints").iterdir() if "." in path.name]
    assert not leftovers, leftovers
    name, count = layout
    return f"{', '.join(told)}; from step {output['resumed_from']} by {name} on {count}"


def compare(output: Json, whole: Json, *, is_same: bool) -> None:
    if is_same:
        assert output["digest"] == whole["digest"]
        assert output["losses"] == whole["losses"]
        return
    pairs = list(zip(output["losses"], whole["losses"], strict=True))
    assert max(abs(mine - other) for mine, other in pairs) <= TOLERANCE
    for mine, other in zip(output["weights"], whole["weights"], strict=True):
        assert largest_difference(mine, other) <= TOLERANCE


def largest_difference(mine: object, other: object) -> float:
    if isinstance(mine, list) and isinstance(other, list):
        pairs = zip(mine, other, strict=True)
        return max(largest_difference(left, right) for left, right in pairs)
    assert isinstance(mine, float)
    assert isinstance(other, float)
    return abs(mine - other)


def check_ids(folder: Path, *, steps: int, batch_size: int = 8) -> None:
    """Every sample of the run was trained on once, in its step."""
    seen: list[tuple[int, int]] = []
    for path in folder.glob("logs/ids-*.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            seen += [(row["step"], sample) for sample in row["ids"]]
    wanted = [(sample // batch_size + 1, sample) for sample in range(steps * batch_size)]
    assert sorted(seen) == wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:30", help="FROM:TO")
    parser.add_argument("--strategy", default="ddp")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    first, _, last = options.seeds.partition(":")
    base = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    whole = unbroken(base / "unbroken", options.strategy)
    print(f"unbroken: {whole.wall_s:.2f} s, a save {whole.save_s:.2f} s", flush=True)
    failed = 0
    for seed in range(int(first), int(last)):
        folder = base / f"seed-{seed}"
        try:
            print(f"seed {seed}: {try_moment(seed, folder, options.strategy, whole)}", flush=True)
            shutil.rmtree(folder)
        except (AssertionError, TimeoutError):
            failed += 1
            print(f"seed {seed}: FAILED {traceback.format_exc()}", flush=True)
    print(f"{failed} failed", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
