"""A folder beside what its original says: the float or quantized model that a user would load."""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from _shared.comparison import Comparison
from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from _shared.reference import kept_logits, read_reference
from _shared.token_differences import differences_of
from hf.refusals import REFUSALS
from hf.scorers import Ct2Scorer, HfScorer, Scorer


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    torch.set_num_threads(job["threads"])
    folder = Path(job["reference"])
    reference = read_reference(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_path(job), trust_remote_code=False)
    comparison = Comparison()
    try:
        scorer = load(job, tokenizer)
        for number, passage in enumerate(reference.passages):
            if passage.window is not None:  # its config says how wide its own is
                continue
            rows_N = torch.tensor(passage.positions)
            copy_NV = scorer.log_probs(passage.tokens)[rows_N].numpy()
            comparison.add(kept_logits(folder, number, passage), copy_NV)
            events.progress("comparing with the original", number + 1, len(reference.passages))
    except REFUSALS as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise JobError("EngineFailed", f"it does not load: {reason[:300]}") from error

    def cut(text: str) -> list[int]:
        adds_special = reference.facts.get("adds_special", True)
        return list(tokenizer(text, add_special_tokens=adds_special).input_ids)

    return {
        **comparison.figures(),
        **differences_of(reference.texts, cut),
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def tokenizer_path(job: Json) -> str:
    """CTranslate2's folders leave the tokenizer behind."""
    return str(job["original"] if job["format"] == "ct2" else job["model"])


def load(job: Json, tokenizer: Any) -> Scorer:
    if job["format"] == "ct2":
        return Ct2Scorer(job["model"], tokenizer, job["threads"])
    return HfScorer.load(job["model"])


if __name__ == "__main__":
    run_worker(work)
