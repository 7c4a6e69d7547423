"""What a load worker is told: where to send, what to send, and when.

Crosses to it as JSON on its stdin.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.core.urls import is_secret_name

EMBEDDINGS = "embeddings"
"""The api whose answers are vectors."""
SHORTEST_SECRET = 8
"""Characters: a shorter word of a header is no key."""


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved server.

    `address` is what the socket connects to, which is the proxy's if there is one.
    """

    scheme: str
    host: str
    port: int
    path: str
    family: int
    address: tuple[str, int]
    headers: tuple[tuple[str, str], ...] = ()
    proxy: bool = False
    insecure: bool = False
    timeout_s: float = 300.0

    @property
    def authority(self) -> str:
        host = self.host
        if ":" in host:  # an IPv6 address
            host = f"[{host}]"
        usual = {"http": 80, "https": 443}
        if self.port == usual[self.scheme]:
            return host
        return f"{host}:{self.port}"

    def without_secrets(self, text: str) -> str:
        """A server's words without what headers and query hold: some repeat a key they refuse."""
        _, _, query = self.path.partition("?")
        values = [value for _, value in self.headers]
        values += [value for name, value in parse_qsl(query) if is_secret_name(name)]
        for value in values:
            for word in value.split():
                if len(word) >= SHORTEST_SECRET:
                    text = text.replace(word, "[hidden]")
        return text


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Words with what each costs in the served model's tokens.

    `overhead` is what the chat template adds.
    """

    words: tuple[str, ...]
    costs: tuple[int, ...]
    overhead: int = 0
    exact: bool = False


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """How request bodies are made.

    `kind` synthetic draws them; `file` and `trace` read lines of `spool`. `fixed`: names of
    `fields` that win over a row's own. `texts`: of one request of embeddings.
    """

    kind: str
    api: str
    fields: dict[str, object]
    fixed: tuple[str, ...] = ()
    input_tokens: int | str
    output_tokens: int | str
    words: Words
    shared_prefix_tokens: int = 0
    shared_prefix_share: float = 1.0
    turns: int | None = None
    think_time_s: float = 0.0
    texts: int = 1
    spool: str | None = None
    nonce: str = ""
    seed: int = 0

    @property
    def wants_vectors(self) -> bool:
        return self.api == EMBEDDINGS


class LevelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One level for one worker: sessions `worker`, `worker + workers`, ... of the load."""

    level: int
    repetition: int
    worker: int
    workers: int
    load: Load
    work: Workload
    target: Destination
    spool: str
    streams: int
    max_in_flight: int | None = None


class LevelDone(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker itself fared.

    `lags` is a sparse histogram (core.histogram) of how late its timer fired, in ms; `late` counts
    open-loop requests that left over 10 ms after they were due.
    """

    cpu_s: float
    duration_s: float
    lags: tuple[float, ...]
    late: int
    sent: int
    reconnects: int
    peak_rss_bytes: int
    stopped: bool
    max_in_flight: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker did since its last tick."""

    done: int
    errors: int
    tokens: int
    in_flight: int
    ttfts_ms: tuple[float, ...]
    last_error: str | None = None
    last_kind: ErrorKind | None = None
