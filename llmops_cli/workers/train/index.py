"""Reads the data of a run once, before its ranks start: indexes, counts, notices, a preview.

Without a tokenizer it makes one of the data if it is told where, else it only indexes.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from _shared.protocol import Events, JobError, Json, is_full_disk, run_worker
from train.data.cache import prune
from train.data.corpus import Corpus
from train.data.encoder import Encoder, Encoding
from train.data.files import TRAIN, VALIDATION, File, files_at
from train.data.index import indexed, read_facts
from train.data.looked import looked_counts, looked_notices, surveyed
from train.data.notices import shares_line
from train.data.order import Order
from train.data.plan import (
    DataPlan,
    Folders,
    training_corpus,
    training_samples,
    validation_corpus,
)
from train.data.preview import segments_of
from train.data.source import Stream
from train.data.templates import CHATML_NAME, DATE
from train.data.words import texts_of

COUNTED = "tokens up to the last one that counts"
"""What a store of tokens has counted; another meaning is another store."""
PLAIN = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
"""Classes that are what tokenizer.json says, and no more."""
LEAST_PIECE_BYTES = 64
PACKED_PIECE_BYTES = 8
"""A token: pieces of texts are longer than rows, so that few documents are divided by a piece."""


class DataSet(NamedTuple):
    """One --data or --validation of the user."""

    name: str
    files: list[File]


def work(job: Json, events: Events) -> Json:
    try:
        return _made_ready(job, events)
    except Exception as error:
        if not is_full_disk(error):
            raise
        cache = Path(job["cache"])
        message = f"no space left for the index and the tokens of the data, below {cache.parent}"
        hint = "free some space there, or XDG_CACHE_HOME=DIR for another place"
        raise JobError("EnvironmentMissing", message, hint) from error


def _made_ready(job: Json, events: Events) -> Json:
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
    prune(Path(job["cache"]))
    found = {"data": plan.json(), "notices": [], "preview": [], "training": [], "validation": []}
    if job["tokenizer"] is None and job.get("tokenizer_output"):
        job["tokenizer"] = _made_tokenizer(plan, job, events)
    if job["tokenizer"] is not None:
        found["tokenizer"] = job["tokenizer"]
        found |= _looked_at(plan, job, events, training, validation)
    return found


def _made_tokenizer(plan: DataPlan, job: Json, events: Events) -> str:
    """Its folder. One that an earlier run of the same data made is kept."""
    writes_chatml = plan.template == CHATML_NAME
    name = f"{plan.identity[:12]}-{job['vocab_size']}"
    folder = Path(job["tokenizer_output"]) / name
    if not folder.exists():
        from train.tokenizer import train_tokenizer

        events.emit(stage="tokenizer", done=0, total=1)
        tokenizer = train_tokenizer(texts_of(plan), job["vocab_size"], writes_chatml=writes_chatml)
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
    raw = plan.json()
    for name in ("training", "validation"):
        raw[name] = _all_contents(raw[name])
    text = json.dumps(raw, sort_keys=True)
    return replace(plan, identity=hashlib.sha256(text.encode()).hexdigest())


def _all_contents(data_sets: Folders) -> list[list[str]]:
    return [[read_facts(Path(folder)).content for folder in folders] for folders in data_sets]


def _looked_at(
    plan: DataPlan,
    job: Json,
    events: Events,
    training: list[DataSet],
    validation: list[DataSet],
) -> Json:
    """Counts and notices of both sides, and the plan with the tokens of small ones."""
    tokenizer = _tokenizer_in(job["tokenizer"])
    encoder = Encoder(tokenizer, plan.encoding, template=plan.template)
    cache = Path(job["cache"])
    names = [data_set.name for data_set in training]
    corpus = training_corpus(plan, encoder)
    key = _token_key(plan, encoder, is_validation=False)
    looked = surveyed(corpus, names, cache, key, events.progress)
    plan = replace(plan, training_tokens=looked.tokens)
    notices = looked_notices(names, looked, plan.encoding)
    notices += _order_notices(plan, encoder, corpus, names)
    counts = looked_counts(names, looked)
    held_out = validation_corpus(plan, encoder)
    held_out_counts: list[Json] = []
    if held_out is not None:
        names = [one.name for one in validation] or [f"{name}, held out" for name in names]
        key = _token_key(plan, encoder, is_validation=True)
        looked = surveyed(held_out, names, cache, key, events.progress)
        plan = replace(plan, validation_tokens=looked.tokens)
        notices += looked_notices(names, looked, plan.encoding)
        held_out_counts = looked_counts(names, looked)
    return {
        "data": plan.json(),
        "notices": notices,
        "preview": _preview(plan, encoder, job["preview"], tokenizer),
        "training": counts,
        "validation": held_out_counts,
    }


def _token_key(
    plan: DataPlan,
    encoder: Encoder,
    *,
    is_validation: bool,
) -> list[Any]:
    """All that decides on the tokens of one side, and on what is counted of them."""
    contents = [_all_contents(plan.training)]
    if is_validation:
        contents.append(_all_contents(plan.validation))
    how = asdict(plan.encoding)
    return [COUNTED, how, encoder.digest(), contents, plan.share, is_validation]


def _order_notices(
    plan: DataPlan,
    encoder: Encoder,
    corpus: Corpus,
    names: list[str],
) -> list[str]:
    notices = []
    if plan.weights is not None:
        order = Order(corpus.sizes, plan.weights, plan.seed)
        notices.append(shares_line(names, order.shares()))
    if encoder.template is not None and encoder.template.writes_date:
        notices.append(f"the chat template writes a date: it is {DATE} in every sample")
    return notices


def _tokenizer_in(folder: str) -> Any:
    try:
        return _reader_of(Path(folder)).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        message = f"the tokenizer in {folder} cannot be read: {reason}"
        raise JobError("UsageError", message, "--tokenizer FOLDER") from None


def _reader_of(folder: Path) -> Any:
    """AutoTokenizer imports torch and four thousand modules, which a plain file does not need."""
    with suppress(OSError, ValueError, AttributeError):
        config = json.loads((folder / "tokenizer_config.json").read_bytes())
        # Beside a model's configuration AutoTokenizer may know its class better.
        is_alone = not (folder / "config.json").exists()
        if is_alone and config.get("tokenizer_class") in PLAIN:
            from transformers import PreTrainedTokenizerFast

            return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def _preview(
    plan: DataPlan,
    encoder: Encoder,
    count: int,
    tokenizer: Any,
) -> list[Any]:
    """The first samples of the run."""
    samples = training_samples(plan, encoder)
    stream = Stream(samples, Order(samples.sizes, plan.weights, plan.seed))
    shown = stream.fetch(range(min(count, stream.size)))
    return [segments_of(sample, tokenizer) for sample in shown]


if __name__ == "__main__":
    run_worker(work)
