"""Serves one GGUF model over HTTP with continuous batching: `llamacpp.server --model F --port N`.

Needs llama_cpp, numpy, msgspec, jinja2, prometheus_client and uvicorn. Binds to 127.0.0.1 unless
told otherwise.
"""

import asyncio
import errno
import gc
import socket
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import uvicorn
import uvloop
from uvicorn.config import LOGGING_CONFIG

from _shared.embedding_queue import EmbeddingQueue, VectorModel
from _shared.grammar_making.apart import GrammarProcess
from _shared.log_lines import is_json
from llamacpp.server.api import OpenAiApp
from llamacpp.server.arguments import ServerArguments, parse_arguments
from llamacpp.server.binding import LoadError
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.drafters import make_drafter
from llamacpp.server.drafting import Drafter
from llamacpp.server.embedder import STEP, Embedder, vector_form
from llamacpp.server.embeddings import EmbeddingService
from llamacpp.server.generation import StepOutput
from llamacpp.server.grammars import Grammars
from llamacpp.server.layout import suits_shares
from llamacpp.server.model import GgufModel, Llama
from llamacpp.server.offload import layers_beside
from llamacpp.server.prompts import PromptReader
from llamacpp.server.scheduler import Scheduler, SchedulerOptions
from llamacpp.server.vocabulary import Vocabulary


class LoadedServer(NamedTuple):
    """A model, and what generates with it; an encoder has nothing that does."""

    model: GgufModel
    llama: Llama | None = None
    drafter: Drafter | None = None

    @property
    def pool(self) -> int:
        """Tokens that fit at once."""
        return self.llama.pool if self.llama else self.model.train_context


def listen(host: str, port: int) -> socket.socket:
    """Before the model is loaded, so that a taken port costs nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        reason = str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "Address already in use"
        sys.exit(f"cannot listen on {host}:{port}: {reason}")
    return listener


def deliver_all(outputs: list[StepOutput]) -> None:
    for output in outputs:
        output.generation.deliver(output)


def prompt_reader(model: GgufModel, *, context: int) -> PromptReader:
    vocabulary = model.vocabulary
    source = model.metadata("tokenizer.chat_template")
    template = None
    if source:
        bos = vocabulary.bos_text()
        eos = vocabulary.eos_text()
        template = ChatTemplate(source, bos=bos, eos=eos)
    return PromptReader(vocabulary, template, context=context)


def make_scheduler(
    args: ServerArguments,
    llama: Llama,
    drafter: Drafter | None,
) -> Scheduler:
    """Its outputs are delivered in the running event loop."""
    loop = asyncio.get_running_loop()
    options = SchedulerOptions(
        slots=args.parallel,
        queue=args.queue,
        prefill_chunk=args.prefill_chunk,
        reuse=not args.no_prefix_reuse,
    )

    def flush(outputs: list[StepOutput]) -> None:
        loop.call_soon_threadsafe(deliver_all, outputs)

    return Scheduler(llama, llama.vocabulary, options, flush=flush, drafter=drafter)


def uvicorn_server(app: OpenAiApp, *, drain_s: int) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None if is_json() else LOGGING_CONFIG,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=drain_s,
        server_header=False,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(config)


def make_embedding(
    args: ServerArguments,
    model: GgufModel,
    *,
    context: int,
) -> EmbeddingService | None:
    """None for a model whose vectors are not known here."""
    form = vector_form(model, context=context)
    if form is None:
        return None

    def make_model() -> VectorModel:
        return Embedder(model, form, threads=args.context_options.threads)

    return EmbeddingService(args.name, form, EmbeddingQueue(make_model, STEP))


SWITCH_INTERVAL_S = 0.0005
"""A thread that reads a schema gives way to the one that picks tokens ten times as often."""


def ready_texts(vocabulary: Vocabulary) -> None:
    """Grammars need every token's text: it is there before the first request that has one.

    What has been loaded stays: the garbage collector, which stops every thread, passes it over.
    """
    vocabulary.load_texts()
    gc.collect()
    gc.freeze()


async def serve(
    args: ServerArguments,
    loaded: LoadedServer,
    listener: socket.socket,
) -> None:
    """Until SIGTERM, and the answers under way then."""
    model = loaded.model
    context = args.longest_request(train_context=model.longest_text, pool=loaded.pool)
    scheduler = None
    maker = GrammarProcess()
    if loaded.llama is not None:
        maker.start()
        scheduler = make_scheduler(args, loaded.llama, loaded.drafter)
        scheduler.start()
        threading.Thread(target=ready_texts, args=(model.vocabulary,), daemon=True).start()
    embedding = make_embedding(args, model, context=context)
    if embedding is not None:
        embedding.queue.start()
    models = [args.name, *args.adapters]
    reader = prompt_reader(model, context=context)
    grammars = Grammars(maker.make, maker.give_up)
    app = OpenAiApp(reader, scheduler, embedding, grammars=grammars, models=models, context=context)
    sizes = f"{args.parallel} sequences, {context} tokens each"
    print(f"serving {args.name} on {args.host}:{args.port}, {sizes}", flush=True)
    try:
        server = uvicorn_server(app, drain_s=args.drain_s)
        await server.serve(sockets=[listener])
    finally:
        if scheduler is not None:
            scheduler.stop()
        if embedding is not None:
            embedding.queue.stop()
        maker.close()


def load_llama(args: ServerArguments, model: GgufModel) -> Llama:
    """Raises: LoadError."""
    options = args.context_options
    divided = suits_shares(sequences=options.sequences, share=options.share)
    return Llama(model, options, adapters=args.adapters.values(), divided=divided)


def load(args: ServerArguments) -> LoadedServer:
    """Raises: LoadError."""
    print(f"loading {args.model}", flush=True)
    gpu_layers = args.gpu_layers
    if args.cpu_offload_gib:
        gpu_layers = layers_beside(args.cpu_offload_gib, Path(args.model))
    model = GgufModel(args.model, gpu_layers=gpu_layers)
    if model.is_causal:
        llama = load_llama(args, model)
        return LoadedServer(model, llama, make_drafter(args.speculative, llama))
    if args.adapters or args.speculative:
        raise LoadError(f"{args.name} makes vectors and no text: no adapter, no speculation")
    if vector_form(model, context=model.train_context) is None:
        raise LoadError(f"{args.name} pools its vectors in a way that is not known here")
    return LoadedServer(model)


def main() -> None:
    args = parse_arguments()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    listener = listen(args.host, args.port)
    try:
        loaded = load(args)
    except LoadError as error:
        sys.exit(str(error))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(args, loaded, listener))


if __name__ == "__main__":
    main()
