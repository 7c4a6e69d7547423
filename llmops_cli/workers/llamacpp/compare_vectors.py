"""A GGUF model of vectors beside its original: the vectors of many texts, and their tokens.

Shapes: B texts, D numbers of a vector.
"""

import time
from pathlib import Path

import numpy as np

from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from _shared.reference import kept_logits, read_reference
from llamacpp.compare import token_differences
from llamacpp.server.binding import LoadError
from llamacpp.server.embedder import Embedder, vector_form
from llamacpp.server.model import GgufModel


def work(job: Json, _events: Events) -> Json:
    start_s = time.process_time()
    folder = Path(job["reference"])
    reference = read_reference(folder)
    try:
        model = GgufModel(job["model"], gpu_layers=0)
    except LoadError as error:
        raise JobError("EngineFailed", str(error)) from error
    form = vector_form(model, context=model.longest_text)
    if form is None:
        raise JobError("EngineFailed", "its tokens' vectors are pooled in a way not known here")
    embedder = Embedder(model, form, threads=job["threads"])
    longest = min(form.longest, reference.facts["longest"])
    (passage,) = reference.passages
    originals_BD = kept_logits(folder, 0, passage)
    distances = []
    for original_D, each in zip(originals_BD, reference.texts, strict=True):
        if each.tokens:
            (raw,) = embedder.vectors([each.tokens[:longest]])
            distances.append(distance(original_D, np.frombuffer(raw, "<f4")))
    if not np.isfinite(distances).all():
        raise JobError("EngineFailed", "its vectors are not numbers")
    return {
        "vector_distance": max(distances),
        "scored": len(distances),
        **token_differences(model.vocabulary.handle, reference, frozenset(job["notices"])),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def distance(one_D: np.ndarray, other_D: np.ndarray) -> float:
    """One less their cosine."""
    one = one_D.astype(np.float64)
    other = other_D.astype(np.float64)
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(1 - one @ other / lengths)


if __name__ == "__main__":
    run_worker(work)
