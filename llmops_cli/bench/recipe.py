"""What a load test asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import Natural, Positive, PositiveNumber, Rate, Streams
from llmops_cli.core.resolve import Origins, Values

LOADS = ("concurrency", "rate", "ramp", "steps", "burst", "trace")


DEFAULT_CONCURRENCY = (1, 4, 16)


class BenchRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, when, and what counts. One of LOADS makes the levels and the others stay empty;
    with none of them they are DEFAULT_CONCURRENCY. Grammars: bench.lengths (tokens) and
    bench.arrivals (ramp, steps).
    """

    backend: str = "llamacpp"
    model: str = "demo"
    url: str | None = None
    api: Literal["chat", "completions"] = "chat"
    headers: list[str] = []
    body: dict[str, Any] = {}  # Any: fields of the server's own
    api_key_env: str = "LLMOPS_API_KEY"
    proxy: str | None = None
    insecure: bool = False

    concurrency: list[Streams] = []
    rate: list[Rate] = []
    ramp: str | None = None
    steps: list[str] = []
    burst: Positive | None = None
    trace: str | None = None
    time_scale: PositiveNumber = 1.0
    arrival: Literal["poisson", "constant", "gamma"] = "poisson"
    burstiness: PositiveNumber = 1.0
    max_in_flight: Positive | None = None

    requests: Positive | None = None
    duration_s: PositiveNumber | None = None
    warmup: Natural = 4
    repeats: Positive = 1

    dataset: str = "synthetic"
    input_tokens: int | str = 64
    output_tokens: int | str = 64
    shared_prefix_tokens: Natural = 0
    shared_prefix_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    turns: Positive | None = None
    think_time_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    warm_cache: bool = False

    slo: str | None = None
    search: bool = False
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    records: Literal["csv", "parquet"] = "csv"
    allow_invalid: bool = False
    seed: int = 0
    timeout_s: PositiveNumber = 300.0
    options: dict[str, str] = {}

    @staticmethod
    def settle(values: Values, origins: Origins) -> None:
        """One kind of load, and a URL's own backend."""
        _keep_nearest_load(values, origins)
        _settle_backend(values, origins)


def _keep_nearest_load(values: Values, origins: Origins) -> None:
    """A load on the command line replaces another kind of load in the environment or the file."""
    for origin in ("flag", "env"):
        if any(origins[name] == origin for name in LOADS):
            for name in LOADS:
                if origins[name] != origin:
                    values.pop(name, None)
                    origins[name] = "default"
            return


def _settle_backend(values: Values, origins: Origins) -> None:
    """A URL, wherever it comes from, means the server that runs there."""
    url = values.get("url")
    if not url:
        return
    backend = values.get("backend", "remote")
    if backend != "remote" and origins["backend"] != "default":
        raise UsageError(
            f"--url is a server that runs; backend '{backend}' would start another",
            hint="give one of them",
        )
    if "backend" not in values:
        values["backend"] = "remote"
        origins["backend"] = origins["url"]
