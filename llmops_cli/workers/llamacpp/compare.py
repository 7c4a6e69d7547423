"""A GGUF file beside what its original says in Transformers: logits and tokens."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp

from _shared.comparison import Comparison
from _shared.protocol import Events, Json, peak_rss_bytes, run_worker
from _shared.reference import Passage, Reference, kept_logits, read_reference
from _shared.token_differences import differences_of
from llamacpp.library import load_model, tokenize
from llamacpp.log import LogCapture
from llamacpp.notices import is_told
from llamacpp.overridden import load_with
from llamacpp.scorer import BATCH, TextScorer
from llamacpp.server.binding import metadata_of


@dataclass(frozen=True)
class Task:
    """The file and the folder of its reference.

    `beyond_window`: the file is known to look back too far once a text is longer than the window.
    `notices`: the kinds of what its user was told of it.
    """

    path: str
    folder: Path
    threads: int
    beyond_window: bool
    notices: frozenset[str]
    log: LogCapture


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    task = Task(
        path=job["model"],
        folder=Path(job["reference"]),
        threads=job["threads"],
        beyond_window=job["beyond_window"],
        notices=frozenset(job["notices"]),
        log=LogCapture(),
    )
    reference = read_reference(task.folder)
    comparison = Comparison()
    model = load_model(task.path, task.log)
    context = int(llama_cpp.llama_model_n_ctx_train(model))
    vocab = llama_cpp.llama_model_get_vocab(model)
    differences = token_differences(vocab, reference, task.notices)
    if reference.window is not None and task.beyond_window:
        context = min(context, reference.window)
    is_cut = reference.window is not None and context <= reference.window
    for number, passage in enumerate(reference.passages):
        if passage.window is not None:
            if is_cut:  # nothing is ever read through the window
                continue
            model = load_through_window(task, reference, passage.window)
        length = min(len(passage.tokens), context)
        compare_passage(task, model, comparison, number=number, length=length, passage=passage)
        events.progress("comparing with the original", number + 1, len(reference.passages))
    return {
        **comparison.figures(),
        **differences,
        "context": context,
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def load_through_window(task: Task, reference: Reference, narrow: int) -> Any:
    """With the narrow window, if the file has the original's; else as it is, to be found wrong."""
    plain: Any = load_model(task.path, task.log)  # a handle of the library's
    architecture = metadata_of(plain, "general.architecture")
    key = f"{architecture}.attention.sliding_window"
    if metadata_of(plain, key) != str(reference.window):
        return plain
    llama_cpp.llama_model_free(plain)
    return load_with(task.path, task.log, key=key, value=narrow)


def compare_passage(
    task: Task,
    model: object,
    comparison: Comparison,
    *,
    number: int,
    length: int,
    passage: Passage,
) -> None:
    """Adds what is within `length` tokens, and frees the model."""
    positions = [position for position in passage.positions if position < length]
    window = max(length, BATCH)
    scorer = TextScorer(model, window=window, threads=task.threads, log=task.log, is_exact=True)
    original_NV = kept_logits(task.folder, number, passage)
    for first, logits_NV in scorer.logits(passage.tokens[:length], positions):
        comparison.add(original_NV[first : first + len(logits_NV)], logits_NV)
    scorer.close()


def token_differences(
    vocab: object,
    reference: Reference,
    notices: frozenset[str],
) -> Json:
    adds_special = reference.facts.get("adds_special", True)

    def cut(text: str) -> list[int]:
        return tokenize(vocab, text.encode(), add_special=adds_special, parse_special=True)

    return differences_of(reference.texts, cut, is_known=lambda text: is_told(text, notices))


if __name__ == "__main__":
    run_worker(work)
