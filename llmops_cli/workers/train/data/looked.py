"""A look at data before they are trained on: counted whole if they are small, else sampled."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from _shared.protocol import JobError, Json
from train.data.cache import used
from train.data.corpus import Corpus
from train.data.encoder import Encoding
from train.data.index import Report
from train.data.notices import notices_of
from train.data.survey import Survey, exact_survey, is_small, sampled_survey
from train.data.token_store import counts_in_store, write_tokens


class Looked(NamedTuple):
    """A survey of each data set, and the folder of the tokens if they are few."""

    surveys: list[Survey]
    tokens: str | None


def surveyed(
    corpus: Corpus,
    names: list[str],
    cache: Path,
    key: list[Any],
    report: Report,
) -> Looked:
    """`key`: all that decides on the tokens."""
    for name, size in zip(names, corpus.sizes, strict=True):
        if not size:
            message = f"{name}: no sample is left on this side"
            raise JobError("UsageError", message, "another --validation-share, or more data")
    if not is_small(corpus):
        numbers = range(len(names))
        return Looked([sampled_survey(corpus, number) for number in numbers], None)
    text = json.dumps(key, sort_keys=True)
    folder = cache / f"tokens-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    write_tokens(corpus, folder, report)
    used(folder)
    return Looked([exact_survey(counts) for counts in counts_in_store(folder)], str(folder))


def looked_notices(names: list[str], looked: Looked, how: Encoding) -> list[str]:
    notices = []
    for name, found in zip(names, looked.surveys, strict=True):
        notices += notices_of(name, found, how)
    return notices


def looked_counts(names: list[str], looked: Looked) -> list[Json]:
    counts = []
    for name, found in zip(names, looked.surveys, strict=True):
        counts.append({"name": name, "exact": found.is_exact, **found.counts.json()})
    return counts
