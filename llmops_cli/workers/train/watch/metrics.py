"""What is written of each step: metrics.jsonl by the first rank, ids by one rank of each share.

logs/ids-SHARE.jsonl say which samples were trained on in which step, so that it can be shown that
none was lost or taken twice, however often a run was killed and on however many ranks it went on.
"""

import math
import time
from pathlib import Path
from typing import NamedTuple

import torch

from _shared.protocol import peak_rss_bytes
from train.loop import Step
from train.ranks import Ranks, gather_values
from train.settings import Settings
from train.strategies.strategy import Share
from train.watch.lines import StepLines, cut_back

METRICS = "metrics.jsonl"
IDS = "logs/ids-{share}.jsonl"


class Metrics:
    """Step, loss, gradient norm, rate, tokens, tokens per second, memory."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.lines = StepLines(folder / METRICS)
        self._rate = settings.learning_rate
        self._last_s = time.monotonic()

    def after(self, step: Step) -> bool:
        now_s = time.monotonic()
        wall_s = now_s - self._last_s
        self._last_s = now_s
        line = {
            "step": step.number,
            "loss": _number(step.loss),
            "grad_norm": _number(step.gradient_norm),
            "lr": self._rate * step.factor,
            "tokens": step.tokens,
            "tokens_per_s": round(step.tokens / wall_s, 1),
            "memory_bytes": memory_bytes(),
        }
        if not step.is_used:
            line["skipped"] = True
        self.lines.add(line)
        return False


def _number(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if math.isfinite(value) else None


def memory_bytes() -> int:
    """The peak on the device, or in main memory where that is the device."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return peak_rss_bytes()


class Ids:
    """The samples of each step that this rank's share had."""

    def __init__(self, folder: Path, share: int) -> None:
        self.lines = StepLines(folder / IDS.format(share=share))

    def after(self, step: Step) -> bool:
        line: dict[str, object] = {"step": step.number, "ids": step.samples}
        if not step.is_used:
            line["skipped"] = True
        self.lines.add(line)
        return False


class StepFiles(NamedTuple):
    """The files of steps that this rank writes."""

    watchers: list[Metrics | Ids]

    def sync(self) -> None:
        for watcher in self.watchers:
            watcher.lines.sync()

    def close(self) -> None:
        for watcher in self.watchers:
            watcher.lines.close()

    def cut_back(self, step: int) -> None:
        """What was written of the steps behind it is undone."""
        for watcher in self.watchers:
            watcher.lines.cut_back(step)


def step_files(
    folder: Path,
    settings: Settings,
    ranks: Ranks,
    share: Share,
    *,
    done: int,
) -> StepFiles:
    """Cut back to the `done` steps that the run goes on from."""
    if ranks.is_first:
        for path in [folder / METRICS, *folder.glob(IDS.format(share="*"))]:
            cut_back(path, done)
    shares = gather_values(ranks, share.number)  # nobody appends before the cut
    watchers: list[Metrics | Ids] = []
    if ranks.is_first:
        watchers.append(Metrics(folder, settings))
    if shares.index(share.number) == ranks.rank:
        watchers.append(Ids(folder, share.number))
    return StepFiles(watchers)
