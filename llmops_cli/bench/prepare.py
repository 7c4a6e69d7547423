"""What can be checked and made of a recipe before anything is sent."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from llmops_cli.bench.apis import check_api
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.counting import token_counter
from llmops_cli.bench.datasets import normalize, require_file
from llmops_cli.bench.lengths import parse_lengths
from llmops_cli.bench.normalized import Normalized
from llmops_cli.bench.plan import EMBEDDINGS, Words, Workload
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.slo import Slo, parse_slos
from llmops_cli.bench.tokens import measure_words
from llmops_cli.core.counted import counted
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.paths import recipes_dir
from llmops_cli.serving.start import RunningServer

STREAMS_A_WORKER = 512
RATE_A_WORKER = 1000.0
FEWEST_STREAMS = 16
NO_TOKENIZER = "the server's tokenizer could not be asked: a word is taken for a token"


def checked_slos(recipe: BenchRecipe) -> tuple[Slo, ...]:
    """The objectives, once all of the recipe makes sense.

    Raises: UsageError; EnvironmentMissing for a table without its writer.
    """
    slos: tuple[Slo, ...] = ()
    if recipe.slo:
        slos = parse_slos(recipe.slo)
    if recipe.search and not slos:
        raise UsageError("--search needs objectives", hint="--slo ttft_p95=200ms,tpot_p95=50ms")
    parse_lengths(recipe.output_tokens)
    _check_input(recipe)
    check_api(recipe, slos)
    has_parquet = find_spec("pyarrow") is not None
    if recipe.records == "parquet" and not has_parquet:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]', or --records csv"
        )
    return slos


def _check_input(recipe: BenchRecipe) -> None:
    parse_lengths(recipe.input_tokens)
    if recipe.trace or recipe.dataset != "synthetic":
        return
    text = str(recipe.input_tokens)
    prefix = recipe.shared_prefix_tokens
    if text.isdigit() and prefix >= int(text):
        raise UsageError(
            f"a shared prefix of {prefix} tokens does not fit into {text}",
            hint="--input-tokens counts the prefix too",
        )


def most_streams(loads: Sequence[Load]) -> int:
    """What an engine that we start should be able to run at once."""
    streams = [load.concurrency or 0 for load in loads]
    return max(FEWEST_STREAMS, *streams)


def workers_needed(loads: Sequence[Load]) -> int:
    """Load processes, so that none of them is the limit; at most half of the cores."""
    streams = 0
    rate_per_s = 0.0
    for load in loads:
        streams = max(streams, load.concurrency or 0)
        rate_per_s = max(rate_per_s, _highest_rate_per_s(load))
    by_streams = -(-streams // STREAMS_A_WORKER)
    by_rate = int(rate_per_s / RATE_A_WORKER)
    wanted = max(1, by_streams, by_rate)
    most = max(1, usable_cores() // 2)
    return min(wanted, most)


def _highest_rate_per_s(load: Load) -> float:
    rates = [rate for rate, _ in load.steps]
    rates.append(load.rate_per_s or 0.0)
    rates.append(load.ramp_to_per_s or 0.0)
    return max(rates)


def require_rows(recipe: BenchRecipe) -> None:
    """Raises: UsageError for a prompt file or a trace that is not there."""
    if recipe.trace:
        require_file(Path(recipe.trace), kind="trace")
    elif recipe.dataset not in ("builtin", "synthetic"):
        require_file(Path(recipe.dataset), kind="file")


def normalized_rows(recipe: BenchRecipe, spool: Path) -> Normalized | None:
    """The prompt file or trace in our form, written to `spool`; None for drawn prompts."""
    if recipe.trace:
        trace = Path(recipe.trace)
        found = normalize(trace, spool, kind="trace")
        wanted = recipe.requests or 0
        if wanted > found.count:
            has = counted(found.count, "request")
            note = f"{trace.name} has {has}, fewer than --requests {wanted}"
            found = msgspec.structs.replace(found, notes=(*found.notes, note))
        return found
    if recipe.dataset == "builtin":
        builtin = recipes_dir() / "data" / "prompts.jsonl"
        return normalize(builtin, spool, kind="file")
    if recipe.dataset != "synthetic":
        dataset = Path(recipe.dataset)
        return normalize(dataset, spool, kind="file")
    return None


def make_workload(
    recipe: BenchRecipe,
    server: RunningServer,
    rows: Path | None,
    words: Words,
) -> Workload:
    """How the workers make request bodies."""
    fields: dict[str, object] = {"model": server.model, **_usual_fields(recipe, server)}
    fields |= recipe.body
    fields = {name: value for name, value in fields.items() if value is not None}
    nonce = ""
    if not recipe.warm_cache:
        nonce = secrets.token_hex(4)
    return Workload(
        kind=_kind(recipe),
        api=recipe.api,
        fields=fields,
        fixed=tuple(recipe.body),
        input_tokens=recipe.input_tokens,
        output_tokens=recipe.output_tokens,
        words=words,
        shared_prefix_tokens=recipe.shared_prefix_tokens,
        shared_prefix_share=recipe.shared_prefix_share,
        turns=recipe.turns,
        think_time_s=recipe.think_time_s,
        texts=recipe.texts_per_request,
        spool=str(rows) if rows else None,
        nonce=nonce,
        seed=recipe.seed,
    )


def _usual_fields(recipe: BenchRecipe, server: RunningServer) -> dict[str, object]:
    """What a request of this API has beside its prompt, unless the recipe's body says otherwise."""
    if recipe.api == EMBEDDINGS:
        return {"encoding_format": "base64"}  # as OpenAI's own client asks
    return {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        **server.facts.bench_body,
    }


def words_of(
    recipe: BenchRecipe,
    server: RunningServer,
    http: Http,
) -> tuple[Words, list[str]]:
    """Words with their costs, and what a reader of the report should know of them."""
    if _kind(recipe) == "file":
        unmeasured = measure_words(lambda _: None, free=False)
        return unmeasured, []
    ask, free = token_counter(server.url, recipe, server.model, http)
    words = measure_words(ask, free=free)
    notes = []
    if not words.exact:
        notes.append(NO_TOKENIZER)
    return words, notes


def _kind(recipe: BenchRecipe) -> str:
    if recipe.trace:
        return "trace"
    if recipe.dataset == "synthetic":
        return "synthetic"
    return "file"
