"""The command line of the server."""

import argparse
import os

import msgspec

from llamacpp.server.binding import KV_TYPES, ContextOptions

LONGEST_DEFAULT_CONTEXT = 4096
POOL_TOKENS_PER_SEQUENCE = 1024

NUMBERS = {
    "--parallel": "sequences computed at once",
    "--ctx": "most tokens of one request; 0: the model's, up to 4096",
    "--kv-tokens": "tokens of the shared KV pool; 0: 1024 per sequence",
    "--batch": "most tokens computed in one step",
    "--prefill-chunk": "prompt tokens in a step with running streams; more while many wait",
    "--queue": "most waiting requests before 429",
    "--threads": "0: all that this process may use",
    "--gpu-layers": "layers of the model that a GPU computes",
    "--drain-s": "seconds for the answers under way at SIGTERM",
}
TEXTS = {
    "--name": "what clients call the model",
    "--host": "address to listen on",
    "--speculative": "ngram:5, or draft:FILE:5",
    "--lora": "NAME=FILE,NAME=FILE: adapters as GGUF files",
}


class ServerArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Under the names of their flags."""

    model: str
    port: int
    name: str = "model"
    host: str = "127.0.0.1"
    parallel: int = 16
    ctx: int = 0
    kv_tokens: int = 0
    batch: int = 512
    prefill_chunk: int = 128
    queue: int = 256
    threads: int = 0
    gpu_layers: int = 0
    drain_s: int = 3
    cpu_offload_gib: float = 0.0
    no_prefix_reuse: bool = False
    kv_type: str = "f16"
    speculative: str = ""
    lora: str = ""

    @property
    def adapters(self) -> dict[str, str]:
        """Files of LoRA adapters by name."""
        files = {}
        for pair in self.lora.split(","):
            name, _, path = pair.partition("=")
            if name:
                files[name] = path
        return files

    @property
    def context_options(self) -> ContextOptions:
        threads = self.threads or len(os.sched_getaffinity(0))
        return ContextOptions(
            pool=self.kv_tokens or self._default_pool,
            sequences=self.parallel,
            batch=self.batch,
            threads=threads,
            gpu_layers=self.gpu_layers,
            kv_type=self.kv_type,
        )

    @property
    def _default_pool(self) -> int:
        one_request = self.ctx or LONGEST_DEFAULT_CONTEXT
        return max(one_request, POOL_TOKENS_PER_SEQUENCE * self.parallel)

    def longest_request(self, *, train_context: int, pool: int) -> int:
        """Tokens of prompt and answer together."""
        wanted = self.ctx or min(train_context, LONGEST_DEFAULT_CONTEXT)
        return min(wanted, pool)


def parse_arguments() -> ServerArguments:
    # What is not given is left out, so that the defaults stand in one place.
    parser = argparse.ArgumentParser(prog="llamacpp.server", argument_default=argparse.SUPPRESS)
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--port", required=True, type=int)
    for flag, text in TEXTS.items():
        parser.add_argument(flag, help=text)
    for flag, text in NUMBERS.items():
        parser.add_argument(flag, type=int, help=text)
    parser.add_argument(
        "--cpu-offload-gib", type=float, help="of the weights in main memory; the rest is a GPU's"
    )
    parser.add_argument("--kv-type", choices=KV_TYPES)
    parser.add_argument("--no-prefix-reuse", action="store_true")
    given = parser.parse_args()
    return ServerArguments(**vars(given))
