"""Ranks of a tiny training run, forked from one process that has imported torch already.

A launch costs a tenth of a second in place of ten, so a test can kill many. What a rank does is
what train.main does around its loop; its data are drawn by step and row. Run as a program
it serves launches: a line of JSON in, a line out.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

WORKERS = Path(__file__).resolve().parent.parent / "llmops_cli/workers"
sys.path[:0] = [str(WORKERS), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from forked_ranks import forked, free_port, joined  # noqa: E402
from torch.distributed.tensor import DTensor  # noqa: E402
from train_settings import SETTINGS  # noqa: E402

from _shared.protocol import Events, JobError, Json, die_with_launcher, run_worker  # noqa: E402
from train import ranks as processes  # noqa: E402
from train.checkpoints.checkpoints import Run  # noqa: E402
from train.data.batch import Batch  # noqa: E402
from train.model import make_model  # noqa: E402
from train.safety import Safety, surrounded  # noqa: E402
from train.settings import Settings  # noqa: E402
from train.strategies.table import ON_META, strategy_named  # noqa: E402

CODES = "codes.json"
VOCABULARY = 64
TOKENS = 12
LITTLE_BYTES = 50_000
"""Of a file that a full disk takes: lines of steps, but no checkpoint."""


class Drawn:
    """Row `number` of `step` has the ids of a sample of its own."""

    size = 10_000

    def __init__(self, settings: Settings, faults: Json) -> None:
        self._settings = settings
        self._faults = faults
        self._rank = int(os.environ.get("RANK") or 0)

    def rows(self, step: int, numbers: list[int]) -> Batch:
        self._fail(step)
        generator = torch.Generator().manual_seed(1_000 + step)
        shape = (self._settings.batch_size, TOKENS)
        ids_BT = torch.randint(1, VOCABULARY, shape, generator=generator)
        positions_BT = torch.arange(TOKENS).expand(shape)
        lengths_B = torch.randint(4, TOKENS + 1, shape[:1], generator=generator)
        weights_BT = (positions_BT < lengths_B[:, None] - 1).float()
        targets_BT = torch.roll(ids_BT, -1, 1) * (weights_BT > 0)
        if step == self._faults.get("nan_step"):
            weights_BT = weights_BT * float("nan")
        rows = torch.tensor(list(numbers))
        first = step * self._settings.batch_size
        samples = tuple(first + number for number in numbers)
        return Batch(
            ids_BT[rows], targets_BT[rows], weights_BT[rows], positions_BT[rows], 1, samples
        )

    def _fail(self, step: int) -> None:
        time.sleep(self._faults.get("step_s", 0.0))
        if step == self._faults.get("room_step"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        if step != self._faults.get("step") or self._rank != self._faults.get("rank", 0):
            return
        print(self._faults.get("says", ""), flush=True)
        match self._faults["kind"]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(1000)
            case "stand still":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "full disk":
                limit = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (LITTLE_BYTES, limit[1]))
            case "memory":
                raise MemoryError
            case "row":
                raise JobError("UsageError", "chats.jsonl:7 is no chat: it has no messages")

    def state(self) -> Json:
        return {"data": "drawn"}

    def restore(self, state: Json) -> None:
        assert state == self.state()


class Losses:
    def __init__(self) -> None:
        self.losses: list[float] = []

    def after(self, step) -> bool:
        self.losses.append(step.loss)
        return False

    def state(self) -> Json:
        return {"losses": self.losses}

    def restore(self, state: Json) -> None:
        self.losses = list(state["losses"])


def work(job: Json, events: Events) -> Json:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks = processes.join()
    settings = Settings(**{**SETTINGS, **job["settings"]})
    try:
        with surrounded(Path(job["output"]), ranks, settings, events) as around:
            model = make_model(settings, VOCABULARY, on_meta=settings.strategy in ON_META)
            parameters = sum(parameter.numel() for parameter in model.parameters())
            strategy = strategy_named(settings.strategy)(model, settings, ranks)
            source = Drawn(settings, job.get("faults", {}))
            run = Run(strategy, source, settings, ranks, job.get("data", {"files": "drawn"}))
            losses = Losses()
            safety = Safety(
                around,
                run,
                keepers={"losses": losses},
                parameters=job.get("parameters", parameters),
                resume=job.get("resume", True),
            )
            safety.run([losses])
            state = strategy.state()
            report = {"losses": losses.losses, "digest": digest_of(state), **safety.report()}
            if job.get("weights"):
                report["weights"] = [whole(value).tolist() for value in state["model"].values()]
            return report
    finally:
        processes.leave()


def whole(value: torch.Tensor) -> torch.Tensor:
    """Every rank must ask at once."""
    value = value.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value


def digest_of(state: Json) -> str:
    """Of every bit of model and optimizer."""
    digest = hashlib.sha256()
    _add(digest, state)
    return digest.hexdigest()


def _add(digest, value) -> None:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            digest.update(str(key).encode())
            _add(digest, value[key])
    elif isinstance(value, (list, tuple)):
        for each in value:
            _add(digest, each)
    elif isinstance(value, torch.Tensor):
        digest.update(whole(value).contiguous().cpu().numpy().tobytes())
    else:
        digest.update(repr(value).encode())


GRACE_S = 15.0
"""Who waits in C++ for a rank that never came hears no SIGTERM; torchrun kills it after 30 s."""


class Launched:
    """Ranks under a launcher of their own that does as torchrun: when one fails it ends the rest.

    `codes` by rank when all have ended; None for those of a launcher that was killed.
    """

    def __init__(self, folder: Path, job: Json, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("error-*.json"), folder / "output.json", folder / CODES]:
            old.unlink(missing_ok=True)
        (folder / "input.json").write_text(json.dumps(job))
        self.folder = folder
        self.count = count
        self.codes: list[int | None] = [None] * count
        reader, writer = os.pipe()
        self.launcher: int | None = forked(lambda: _launch(folder, count, writer))
        os.close(writer)
        with open(reader) as pipe:
            self.ranks: list[int] = json.loads(pipe.readline())

    def signal(self, processes: Sequence[int | None], number: int = signal.SIGKILL) -> None:
        """None is one that has ended; 0 would be everybody in this process group."""
        for process in processes:
            assert process is None or process > 1, processes
            if process is not None:
                with suppress(ProcessLookupError):
                    os.kill(process, number)

    def has_ended(self) -> bool:
        if self.launcher:
            ended, _ = os.waitpid(self.launcher, os.WNOHANG)
            if not ended:
                return False
            self.launcher = None
            if (self.folder / CODES).exists():
                self.codes = json.loads((self.folder / CODES).read_text())
        return not any(map(_lives, self.ranks))

    def wait(self, timeout_s: float = 180.0) -> list[int | None]:
        deadline_s = time.monotonic() + timeout_s
        while not self.has_ended():
            if time.monotonic() > deadline_s:
                self.signal([self.launcher, *self.ranks])
                raise TimeoutError(f"{self.folder} did not end in {timeout_s} s")
            time.sleep(0.005)
        return self.codes

    def output(self) -> Json:
        return json.loads((self.folder / "output.json").read_text())

    def first_error(self) -> Json:
        errors = [json.loads(path.read_text()) for path in self.folder.glob("error-*.json")]
        return min(errors, key=lambda error: (error["at_s"], error["rank"]))


def _lives(process: int) -> bool:
    """A zombie does not: where nobody waits for orphans they stay as such."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _launch(folder: Path, count: int, writer: int) -> int:
    os.setsid()  # a mistake in whom to kill stays among these
    port = free_port()
    launcher = os.getpid()
    ranks = [forked(partial(_rank, folder, rank, count, port, launcher)) for rank in range(count)]
    with open(writer, "w") as pipe:
        pipe.write(json.dumps(ranks) + "\n")
    codes: list[int | None] = [None] * count
    failed_s: float | None = None
    while None in codes:
        for rank, process in enumerate(ranks):
            ended, status = (0, 0) if codes[rank] is not None else os.waitpid(process, os.WNOHANG)
            if ended:
                codes[rank] = os.waitstatus_to_exitcode(status)
        if any(codes):
            failed_s = failed_s or time.monotonic()
            is_late = time.monotonic() - failed_s > GRACE_S
            for rank, process in enumerate(ranks):
                if codes[rank] is None:
                    os.kill(process, signal.SIGKILL if is_late else signal.SIGTERM)
        time.sleep(0.02)
    (folder / CODES).write_text(json.dumps(codes))
    return 0


def _rank(folder: Path, rank: int, count: int, port: int, launcher: int) -> int:
    die_with_launcher()
    if os.getppid() != launcher:  # it was killed before this process began
        return 1
    os.environ |= joined(rank, count, port)
    sys.argv = ["train_ranks", str(folder), "--ranks"]
    if count == 1:
        sys.argv.pop()
    log = os.open(folder / f"fork-{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    run_worker(work)
    return 0


def _served(asked: Json) -> Json:
    """One launch to its end, with signals sent when so many steps are done."""
    folder = Path(asked["folder"])
    metrics = Path(asked["job"]["output"]) / "metrics.jsonl"
    started_s = time.monotonic()
    run = Launched(folder, asked["job"], asked["count"])
    for wanted in asked["signals"]:
        while not run.has_ended() and _steps_in(metrics) < wanted["steps"]:
            time.sleep(0.005)
        run.signal([run.ranks[rank] for rank in wanted["ranks"]], wanted["number"])
    codes = run.wait()
    has_failed = any(folder.glob("error-*.json"))
    has_output = (folder / "output.json").exists()
    return {
        "codes": codes,
        "wall_s": time.monotonic() - started_s,
        "error": run.first_error() if has_failed else None,
        "output": run.output() if has_output else None,
    }


def _steps_in(metrics: Path) -> int:
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def serve() -> None:
    """A launch for each line of stdin, told by a line of stdout."""
    for line in sys.stdin:
        print(json.dumps(_served(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
