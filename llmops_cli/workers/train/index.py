"""Reads the data of a run once, before its ranks start: indexes, counts, notices, a preview.

Without a tokenizer it makes one of the data if it is told where, else it only indexes.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from _shared.protocol import Events, JobError, Json, run_worker
from train.data.corpus import Corpus
from train.data.encoder import Encoder, Encoding
from train.data.files import TRAIN, VALIDATION, File, files_at
from train.data.index import indexed, read_facts
from train.data.notices import notices_of, shares_line
from train.data.order import Order
from train.data.plan import DataPlan, training_corpus, validation_corpus
from train.data.preview import segments_of
from train.data.source import Stream
from train.data.survey import survey
from train.data.words import texts_of

LEAST_PIECE_BYTES = 64
PACKED_PIECE_BYTES = 8
"""A token: pieces of texts are longer than rows, so that few documents are divided by a piece."""


class DataSet(NamedTuple):
    """One --data or --validation of the user."""

    name: str
    files: list[File]


def work(job: Json, events: Events) -> Json:
    how = Encoding(
        length=job["sequence_length"],
        train_on=job["train_on"],
        prompt_weight=job["prompt_loss_weight"],
        too_long=job["too_long"],
        packs=job["packing"],
    )
    training, validation = _data_sets(job)
    share = 0.0 if validation else job["validation_share"]
    plan = DataPlan(
        training=[_indexed(one, job, events, share) for one in training],
        validation=[_indexed(one, job, events, 0.0) for one in validation],
        weights=_weights(job["files"]),
        share=share,
        encoding=how,
        template=job["chat_template"],
        seed=job["seed"],
        batch_size=job["batch_size"],
        identity="",
    )
    plan = _identified(plan)
    found = {"data": plan.json(), "notices": [], "preview": [], "training": [], "validation": []}
    if job["tokenizer"] is None and job.get("tokenizer_output"):
        job["tokenizer"] = _made_tokenizer(plan, job, events)
    if job["tokenizer"] is not None:
        found["tokenizer"] = job["tokenizer"]
        found |= _looked_at(plan, job, events, training, validation)
    return found


def _made_tokenizer(plan: DataPlan, job: Json, events: Events) -> str:
    """Its folder. One that an earlier run of the same data made is kept."""
    folder = Path(job["tokenizer_output"]) / f"{plan.identity[:12]}-{job['vocab_size']}"
    if not folder.exists():
        from train.tokenizer import train_tokenizer

        events.emit(stage="tokenizer", done=0, total=1)
        tokenizer = train_tokenizer(texts_of(plan), job["vocab_size"])
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        tokenizer.save_pretrained(partial)
        partial.rename(folder)
        events.emit(stage="tokenizer", done=1, total=1)
    return str(folder)


def _data_sets(job: Json) -> tuple[list[DataSet], list[DataSet]]:
    """A folder's own validation split is used if the user did not choose one."""
    training = []
    beside = []
    for file in job["files"]:
        splits = files_at(Path(file["path"]))
        training.append(DataSet(file["path"], splits[TRAIN]))
        if VALIDATION in splits:
            beside.append(DataSet(f"{file['path']}:{VALIDATION}", splits[VALIDATION]))
    chosen = [DataSet(path, files_at(Path(path))[TRAIN]) for path in job["validation"] or ()]
    if not chosen and not job["validation_share"]:
        chosen = beside
    return training, chosen


def _indexed(
    data_set: DataSet,
    job: Json,
    events: Events,
    share: float,
) -> list[str]:
    length = job["sequence_length"]
    piece_bytes = max(LEAST_PIECE_BYTES, length - 1)
    if job["packing"]:
        piece_bytes = max(LEAST_PIECE_BYTES, PACKED_PIECE_BYTES * length)
    cache = Path(job["cache"])
    folders = []
    for file in data_set.files:
        folder = indexed(file, cache, piece_bytes=piece_bytes, report=events.progress, share=share)
        folders.append(str(folder))
    return folders


def _weights(files: list[Json]) -> list[float] | None:
    weights = [file["weight"] for file in files]
    given = [weight for weight in weights if weight is not None]
    if not given:
        return None
    if len(given) < len(weights):
        raise JobError("UsageError", "some --data have a weight and some have none", "all or none")
    return given


def _identified(plan: DataPlan) -> DataPlan:
    """Of contents, not of paths: data may be moved between two parts of a run."""
    from dataclasses import replace

    raw = plan.json()
    for name in ("training", "validation"):
        raw[name] = [_contents(folders) for folders in raw[name]]
    text = json.dumps(raw, sort_keys=True)
    return replace(plan, identity=hashlib.sha256(text.encode()).hexdigest())


def _contents(folders: list[str]) -> list[str]:
    return [read_facts(Path(folder)).content for folder in folders]


def _looked_at(
    plan: DataPlan,
    job: Json,
    events: Events,
    training: list[DataSet],
    validation: list[DataSet],
) -> Json:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"], local_files_only=True)
    encoder = Encoder(tokenizer, plan.encoding, template=plan.template)
    corpus = training_corpus(plan, encoder)
    held_out = validation_corpus(plan, encoder)
    names = [data_set.name for data_set in training]
    notices: list[str] = []
    counts = _surveyed(corpus, names, plan.encoding, notices)
    order = Order(corpus.sizes, plan.weights, plan.seed)
    if plan.weights is not None:
        notices.append(shares_line(names, order.shares()))
    held_out_counts: list[Json] = []
    if held_out is not None:
        names = [one.name for one in validation] or [f"{name}, held out" for name in names]
        held_out_counts = _surveyed(held_out, names, plan.encoding, notices)
    return {
        "notices": notices,
        "preview": _preview(Stream(corpus, order), job["preview"], tokenizer),
        "training": counts,
        "validation": held_out_counts,
    }


def _surveyed(
    corpus: Corpus,
    names: list[str],
    how: Encoding,
    notices: list[str],
) -> list[Json]:
    counts = []
    for number, name in enumerate(names):
        if not corpus.sizes[number]:
            message = f"{name}: no sample is left on this side"
            raise JobError("UsageError", message, "another --validation-share, or more data")
        found = survey(corpus, number)
        notices += notices_of(name, found, how)
        counts.append({"name": name, "exact": found.is_exact, **found.counts.json()})
    return counts


def _preview(stream: Stream, count: int, tokenizer: Any) -> list[Any]:
    """The first samples of the run."""
    positions = range(min(count, stream.size))
    samples = stream.fetch(positions)
    return [segments_of(sample, tokenizer) for sample in samples]


if __name__ == "__main__":
    run_worker(work)
