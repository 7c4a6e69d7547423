"""Serves one GGUF model over HTTP with continuous batching: `llamacpp.server --model F --port N`.

Needs llama_cpp, numpy, msgspec, jinja2, prometheus_client and uvicorn. Binds to 127.0.0.1 unless
told otherwise.
"""

import asyncio
import errno
import socket
import sys

import uvicorn
import uvloop

from llamacpp.server.api import OpenAiApp
from llamacpp.server.arguments import ServerArguments, parse_arguments
from llamacpp.server.binding import LoadError
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.drafters import make_drafter
from llamacpp.server.drafting import Drafter
from llamacpp.server.generation import StepOutput
from llamacpp.server.model import Llama
from llamacpp.server.prompts import PromptReader
from llamacpp.server.scheduler import Scheduler, SchedulerOptions


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


def prompt_reader(llama: Llama) -> PromptReader:
    vocabulary = llama.vocabulary
    source = llama.metadata("tokenizer.chat_template")
    template = None
    if source:
        bos = vocabulary.bos_text()
        eos = vocabulary.eos_text()
        template = ChatTemplate(source, bos=bos, eos=eos)
    return PromptReader(vocabulary, template)


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


def uvicorn_server(app: OpenAiApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=3,
        server_header=False,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(config)


async def serve(
    args: ServerArguments,
    llama: Llama,
    drafter: Drafter | None,
    listener: socket.socket,
) -> None:
    """Until SIGTERM."""
    context = args.longest_request(train_context=llama.train_context, pool=llama.pool)
    scheduler = make_scheduler(args, llama, drafter)
    reader = prompt_reader(llama)
    models = [args.name, *args.adapters]
    app = OpenAiApp(reader, scheduler, models=models, context=context)
    scheduler.start()
    sizes = f"{args.parallel} sequences, {context} tokens each"
    print(f"serving {args.name} on {args.host}:{args.port}, {sizes}", flush=True)
    try:
        server = uvicorn_server(app)
        await server.serve(sockets=[listener])
    finally:
        scheduler.stop()


def main() -> None:
    args = parse_arguments()
    listener = listen(args.host, args.port)
    try:
        adapters = args.adapters.values()
        llama = Llama(args.model, args.context_options, adapters=adapters)
        drafter = make_drafter(args.speculative, llama)
    except LoadError as error:
        sys.exit(str(error))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        served = serve(args, llama, drafter, listener)
        runner.run(served)


if __name__ == "__main__":
    main()
