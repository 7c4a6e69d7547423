"""What `train.index` found and every rank opens: plain JSON, which travels in the job's input."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from _shared.protocol import Json
from train.data.corpus import Corpus, RowFile, SplitSide
from train.data.encoder import Encoder, Encoding
from train.data.order import Order
from train.data.source import PackedSource, PlainSource, Source, Stream
from train.data.token_store import TokenStore

Folders = list[list[str]]
"""Indexes of the files of each data set."""


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """`share` of the training files' rows is for validation, unless that has files of its own.

    `identity` is of all that decides which tokens come in which order. Small data are tokenized
    already: `training_tokens` and `validation_tokens` are the folders with them.
    """

    training: Folders
    validation: Folders
    weights: list[float] | None
    share: float
    encoding: Encoding
    template: str | None
    seed: int
    batch_size: int
    identity: str
    training_tokens: str | None = None
    validation_tokens: str | None = None

    def json(self) -> Json:
        return asdict(self)


def plan_of(raw: Json) -> DataPlan:
    encoding = Encoding(**raw["encoding"])
    return DataPlan(**{**raw, "encoding": encoding})


class Data(NamedTuple):
    """`validation` is None where none was asked for."""

    training: Source
    validation: Source | None


def open_data(raw: Json, tokenizer: Any) -> Data:
    """The sources of a run, of the plan that `train.index` returned as `data`."""
    plan = plan_of(raw)
    encoder = Encoder(tokenizer, plan.encoding, template=plan.template)
    samples = training_samples(plan, encoder)
    order = Order(samples.sizes, plan.weights, plan.seed)
    training = _source(Stream(samples, order), plan)
    held_out = _validation_samples(plan, encoder)
    if held_out is None:
        return Data(training, None)
    order = Order(held_out.sizes, None, plan.seed)
    validation = _source(Stream(held_out, order, once=True), plan)
    return Data(training, validation)


def training_samples(plan: DataPlan, encoder: Encoder) -> Corpus | TokenStore:
    if plan.training_tokens is not None:
        return TokenStore(Path(plan.training_tokens), plan.encoding, plan.identity)
    return training_corpus(plan, encoder)


def _validation_samples(plan: DataPlan, encoder: Encoder) -> Corpus | TokenStore | None:
    if plan.validation_tokens is not None:
        return TokenStore(Path(plan.validation_tokens), plan.encoding, plan.identity)
    return validation_corpus(plan, encoder)


def training_corpus(plan: DataPlan, encoder: Encoder) -> Corpus:
    sets = _opened(plan.training, SplitSide(plan.share), first=0)
    return Corpus(sets, encoder, plan.identity)


def validation_corpus(plan: DataPlan, encoder: Encoder) -> Corpus | None:
    """Numbers are those of the training files' rows, or go on behind them."""
    if plan.validation:
        behind = sum(file.facts.samples for file in training_files(plan))
        sets = _opened(plan.validation, SplitSide(), first=behind)
    elif plan.share:
        sets = _opened(plan.training, SplitSide(plan.share, is_validation=True), first=0)
    else:
        return None
    return Corpus(sets, encoder, plan.identity)


def training_files(plan: DataPlan) -> list[RowFile]:
    """With the rows that are held out."""
    return [file for files in _opened(plan.training, SplitSide(), first=0) for file in files]


def _opened(folders: Folders, side: SplitSide, *, first: int) -> list[list[RowFile]]:
    sets = []
    for names in folders:
        files = []
        for name in names:
            file = RowFile(Path(name), side, first=first)
            first += file.facts.samples
            files.append(file)
        sets.append(files)
    return sets


def _source(stream: Stream, plan: DataPlan) -> Source:
    if plan.encoding.packs:
        return PackedSource(stream, plan.batch_size, plan.encoding.length)
    return PlainSource(stream, plan.batch_size)
