"""Samples of a small corpus as tokens on disk: tokenized once, when they are counted.

Every rank then maps them, so a step costs no tokenizing. Large corpora are tokenized as they are
read: nobody waits for all of them.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from _shared.protocol import Json
from train.data.corpus import Corpus
from train.data.counts import Counts, counts_of
from train.data.encoder import Encoding
from train.data.index import Report, mapped
from train.data.order import Place
from train.data.sample import FULL_WEIGHT, TrainingSample

FACTS = "tokens.json"
IDS = "ids.i32"
LEARNED = "learned.u8"
RECORDS = "samples.records"
TOGETHER = 256

# What is kept of each sample. `end`: of its tokens, among those of all samples.
RECORD = np.dtype(
    [
        ("end", np.int64),
        ("number", np.int64),
        ("cut", np.int32),
        ("dropped", np.int32),
        ("is_divisible", np.bool_),
        ("ends", np.bool_),
    ]
)


class TokenStore:
    """The samples of a corpus by place, without its files and without a tokenizer."""

    def __init__(
        self,
        folder: Path,
        how: Encoding,
        identity: str,
    ) -> None:
        facts = json.loads((folder / FACTS).read_text())
        self.identity = identity
        self.sizes = tuple(facts["sizes"])
        self._firsts = [sum(self.sizes[:number]) for number in range(len(self.sizes))]
        self._records = np.fromfile(folder / RECORDS, RECORD)
        # A slice of a plain array over the same memory costs a tenth of one of a memmap.
        self._ids = mapped(folder / IDS, np.int32).view(np.ndarray)
        self._learned = mapped(folder / LEARNED, np.uint8).view(np.ndarray)
        self._weights = np.array([how.prompt_weight, FULL_WEIGHT], np.float32)

    def fetch(self, places: Sequence[Place]) -> list[TrainingSample]:
        return [self._sample(self._firsts[place.file] + place.number) for place in places]

    def _sample(self, index: int) -> TrainingSample:
        begin = self._records[index - 1].item()[0] if index else 0
        end, number, cut, dropped, is_divisible, ends = self._records[index].item()
        return TrainingSample(
            number=number,
            ids_T=self._ids[begin:end],
            weights_T=self._weights[self._learned[begin:end]],
            is_divisible=is_divisible,
            ends=ends,
            cut_tokens=cut,
            dropped_tokens=dropped,
        )


def counts_in_store(folder: Path) -> list[Counts]:
    """Of each data set."""
    facts = json.loads((folder / FACTS).read_text())
    return [Counts(**counts) for counts in facts["counts"]]


def write_tokens(corpus: Corpus, folder: Path, report: Report) -> None:
    """All samples of `corpus`, in `folder`, which appears when it is whole."""
    if (folder / FACTS).exists():
        return
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with _Writer(temporary) as writer:
            numbers = range(len(corpus.sizes))
            counts = [_write_set(corpus, number, writer, report) for number in numbers]
        facts: Json = {"sizes": corpus.sizes, "counts": [one.json() for one in counts]}
        (temporary / FACTS).write_text(json.dumps(facts))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_set(
    corpus: Corpus,
    number: int,
    writer: "_Writer",
    report: Report,
) -> Counts:
    size = corpus.sizes[number]
    counts = Counts()
    for begin in range(0, size, TOGETHER):
        stop = min(size, begin + TOGETHER)
        samples = corpus.fetch([Place(number, index) for index in range(begin, stop)])
        writer.write(samples)
        counts += counts_of(samples)
        report("counting tokens", stop, size)
    return counts


class _Writer:
    """Three files that grow together."""

    def __init__(self, folder: Path) -> None:
        self._end = 0
        self._files: list[BinaryIO] = []
        for name in (IDS, LEARNED, RECORDS):
            self._files.append((folder / name).open("wb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def write(self, samples: Sequence[TrainingSample]) -> None:
        ids, learned, records = self._files
        kept = np.zeros(len(samples), RECORD)
        for index, sample in enumerate(samples):
            self._end += len(sample.ids_T)
            kept[index] = (
                self._end,
                sample.number,
                sample.cut_tokens,
                sample.dropped_tokens,
                sample.is_divisible,
                sample.ends,
            )
            ids.write(sample.ids_T.tobytes())
            is_learned = sample.weights_T >= FULL_WEIGHT
            learned.write(is_learned.astype(np.uint8).tobytes())
        records.write(kept.tobytes())
