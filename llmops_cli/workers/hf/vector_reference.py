"""Keeps the vectors that an original model of vectors has for many texts, and their tokens.

Shapes: B texts, D numbers of a vector.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import transformers

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from _shared.reference import Passage, Reference, write_logits, write_reference
from hf.refusals import REFUSALS
from hf.tokenized import tokenized_texts
from hf.vectors import HfVectors


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    events.progress("reading the original", 0, 1)
    try:
        model = HfVectors(arguments(job))
        texts = tokenized_texts(model.tokenizer)
        raw = model.vectors([each.tokens[: model.longest] for each in texts])
    except REFUSALS as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise JobError(
            "EngineFailed", f"Transformers cannot compute {job['model']}: {reason[:300]}"
        ) from error
    vectors_BD = np.stack([np.frombuffer(each, "<f4") for each in raw])
    folder = Path(job["output"])
    folder.mkdir(parents=True)
    write_logits(folder, 0, vectors_BD)
    passage = Passage([], list(range(len(texts))), vectors_BD.shape[1])
    facts = {"transformers": transformers.__version__, "longest": model.longest}
    write_reference(folder, Reference([passage], texts, None, facts))
    return {
        "tokens": sum(len(each.tokens) for each in texts),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def arguments(job: Json) -> argparse.Namespace:
    """As `hf.server` has them."""
    return argparse.Namespace(
        model=job["model"],
        name="original",
        threads=job["threads"],
        device="cpu",
        dtype="float32",
        attention=None,
        lora="",
        speculative="",
        max_model_len=0,
    )


if __name__ == "__main__":
    run_worker(work)
