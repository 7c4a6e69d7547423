"""Serves one GGUF model over HTTP with continuous batching. Usage:
python workers llamacpp.server --model FILE --port N.

Needs llama_cpp, numpy, msgspec, jinja2, prometheus_client and uvicorn. Binds to 127.0.0.1 unless
told otherwise.
"""

import argparse
import asyncio
import errno
import os
import socket
import sys
from functools import partial

import uvicorn
import uvloop

from llamacpp.server.api import App
from llamacpp.server.binding import KV_TYPES, Llama, LoadError
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.drafting import Drafter, make_drafter
from llamacpp.server.scheduler import Event, Scheduler


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llamacpp.server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parallel", type=int, default=16, help="sequences computed at once")
    parser.add_argument(
        "--ctx", type=int, default=0, help="most tokens of one request; 0: the model's, up to 4096"
    )
    parser.add_argument(
        "--kv-tokens",
        type=int,
        default=0,
        help="tokens of the shared KV pool; 0: 1024 per sequence",
    )
    parser.add_argument("--batch", type=int, default=512, help="most tokens computed in one step")
    parser.add_argument(
        "--prefill-chunk",
        type=int,
        default=128,
        help="most prompt tokens in a step with running streams",
    )
    parser.add_argument("--queue", type=int, default=256, help="most waiting requests before 429")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument("--no-prefix-reuse", action="store_true")
    parser.add_argument("--kv-type", choices=KV_TYPES, default="f16")
    parser.add_argument("--speculative", default="", help="ngram:5, or draft:FILE:5")
    parser.add_argument("--lora", default="", help="NAME=FILE,NAME=FILE: adapters as GGUF files")
    return parser.parse_args()


def bind(host: str, port: int) -> socket.socket:
    """Before the model is loaded, so that a taken port costs nothing."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        reason = "Address already in use" if error.errno == errno.EADDRINUSE else str(error)
        sys.exit(f"cannot listen on {host}:{port}: {reason}")
    return listener


def deliver_all(events: list[Event]) -> None:
    for event in events:
        event.generation.deliver(event)


async def serve(
    args: argparse.Namespace,
    llama: Llama,
    drafter: Drafter | None,
    most_guessed: int,
    context: int,
    names: list[str],
    listener: socket.socket,
) -> None:
    loop = asyncio.get_running_loop()
    scheduler = Scheduler(
        llama,
        slots=args.parallel,
        queue=args.queue,
        prefill_chunk=args.prefill_chunk,
        reuse=not args.no_prefix_reuse,
        flush=partial(loop.call_soon_threadsafe, deliver_all),
        drafter=drafter,
        most_guessed=most_guessed,
    )
    scheduler.start()
    source = llama.metadata("tokenizer.chat_template")
    template = ChatTemplate(source, bos=llama.bos_text(), eos=llama.eos_text()) if source else None
    app = App(llama, scheduler, models=names, context=context, template=template)
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
    print(
        f"serving {args.name} on {args.host}:{args.port}, {args.parallel} sequences, {context} tokens each",
        flush=True,
    )
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        scheduler.stop()


def main() -> None:
    args = parse()
    listener = bind(args.host, args.port)
    threads = args.threads or len(os.sched_getaffinity(0))
    pool = args.kv_tokens or max(args.ctx or 4096, 1024 * args.parallel)
    adapters = dict(pair.split("=", 1) for pair in filter(None, args.lora.split(",")))
    drafter = None
    most_guessed = 0
    try:
        llama = Llama(
            args.model,
            pool=pool,
            sequences=args.parallel,
            batch=args.batch,
            threads=threads,
            gpu_layers=args.gpu_layers,
            kv_type=args.kv_type,
            adapters=adapters.values(),
        )
        if args.speculative:
            drafter, most_guessed = make_drafter(
                args.speculative,
                llama,
                sequences=args.parallel,
                threads=threads,
                gpu_layers=args.gpu_layers,
            )
    except LoadError as error:
        sys.exit(str(error))
    context = min(args.ctx or min(llama.train_context, 4096), llama.pool)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            serve(args, llama, drafter, most_guessed, context, [args.name, *adapters], listener)
        )


if __name__ == "__main__":
    main()
