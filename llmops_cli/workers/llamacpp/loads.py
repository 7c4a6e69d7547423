"""Whether llama.cpp loads a GGUF file: its weights, its vocabulary, and a small context to run it.

Weights are mapped and not read, so a large file takes no longer than a small one.
"""

import llama_cpp

from _shared.protocol import Events, JobError, Json, run_worker
from llamacpp.library import load_model
from llamacpp.log import LogCapture

CONTEXT = 64


def work(job: Json, _events: Events) -> Json:
    log = LogCapture()
    model = load_model(job["path"], log)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = CONTEXT
    params.n_batch = CONTEXT
    params.n_ubatch = CONTEXT
    if not llama_cpp.llama_init_from_model(model, params):
        message = f"llama.cpp cannot make a context for {job['path']}: {log.last()}"
        raise JobError("EngineFailed", message)
    return {"parameters": int(llama_cpp.llama_model_n_params(model))}


if __name__ == "__main__":
    run_worker(work)
