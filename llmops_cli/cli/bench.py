"""`llmops bench`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import typer


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    backend: str = typer.Option(
        None, help="An engine of `llmops engines`.  [default: llamacpp, remote with --url]"
    ),
    model: str = typer.Option(
        None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"
    ),
    url: str = typer.Option(
        None, help="An OpenAI-style server that already runs; its first model unless --model."
    ),
    api: str = typer.Option(None, help="chat or completions.  [default: chat]"),
    header: list[str] = typer.Option(
        None, help="'Name: value'; $NAME is read from the environment. May be repeated."
    ),
    body: list[str] = typer.Option(
        None, help="A field of each request, key=JSON. May be repeated."
    ),
    api_key_env: str = typer.Option(
        None, help="The variable that holds the API key.  [default: LLMOPS_API_KEY]"
    ),
    proxy: str = typer.Option(
        None, help="An HTTP proxy. Without it none is used, whatever the environment says."
    ),
    insecure: bool = typer.Option(None, "--insecure", help="Accept any TLS certificate."),
    concurrency: str = typer.Option(
        None, help="Streams at once, one level each.  [default: 1,4,16]"
    ),
    rate: str = typer.Option(
        None, help="Requests per second, one level each; sent whether or not answers come."
    ),
    ramp: str = typer.Option(
        None, help="From one rate to another: 1-20, over --duration-s.  [default: 60 s]"
    ),
    steps: str = typer.Option(None, help="Rates, each held for some seconds: 2x30,5x30."),
    burst: int = typer.Option(None, help="This many requests, all at once."),
    trace: str = typer.Option(None, help="Replay a trace: Mooncake JSONL, Azure or BurstGPT CSV."),
    time_scale: float = typer.Option(None, help="Replay the trace this much faster.  [default: 1]"),
    arrival: str = typer.Option(
        None, help="poisson, constant or gamma, for rates.  [default: poisson]"
    ),
    burstiness: float = typer.Option(
        None, help="Shape of gamma arrivals; under 1 is burstier.  [default: 1]"
    ),
    max_in_flight: int = typer.Option(
        None, help="Hold requests back beyond this; the wait counts.  [default: none]"
    ),
    requests: int = typer.Option(
        None,
        help="Requests (conversations) per level.  [default: 5 x streams, at least 20 and 3 s]",
    ),
    duration_s: float = typer.Option(None, help="Seconds per level.  [default: 30 for a rate]"),
    warmup: int = typer.Option(
        None, help="Requests before the first level, not measured.  [default: 4]"
    ),
    repeats: int = typer.Option(None, help="Repetitions of each level.  [default: 1]"),
    dataset: str = typer.Option(
        None,
        help="builtin, or a file: text, JSONL, CSV, Parquet, ShareGPT JSON.  [default: synthetic]",
    ),
    input_tokens: str = typer.Option(
        None,
        help="Prompt length: 512, uniform:1-9, normal:512,128, lognormal:512,.6, zipf:1.2,32-4096.  [default: 64]",
    ),
    output_tokens: str = typer.Option(None, help="Answer length, likewise.  [default: 64]"),
    shared_prefix_tokens: int = typer.Option(
        None, help="Beginning that prompts share.  [default: 0]"
    ),
    shared_prefix_share: float = typer.Option(
        None, help="Share of the prompts that have it.  [default: 1]"
    ),
    turns: int = typer.Option(
        None, help="User turns of a conversation.  [default: 1, or all in the dataset]"
    ),
    think_time_s: float = typer.Option(None, help="Pause before a follow-up turn.  [default: 0]"),
    warm_cache: bool = typer.Option(
        None,
        "--warm-cache",
        help="Send the same prompts as the last run; otherwise no run's cache helps the next.",
    ),
    slo: str = typer.Option(None, help="Objectives: ttft_p95=200ms,tpot_p95=50ms,error_rate=1%."),
    search: bool = typer.Option(None, "--search", help="Find the highest rate that meets --slo."),
    workers: int = typer.Option(None, help="Load processes.  [default: by need]"),
    records: str = typer.Option(
        None, help="csv or parquet, for the per-request table.  [default: csv]"
    ),
    allow_invalid: bool = typer.Option(
        None, "--allow-invalid", help="Exit 0 even if the numbers can't be trusted."
    ),
    seed: int = typer.Option(
        None, help="The same seed sends the same requests at the same times.  [default: 0]"
    ),
    timeout_s: float = typer.Option(None, help="Longest time for one request.  [default: 300]"),
    dtype: str = typer.Option(None, help="Engine: auto, float32, float16 or bfloat16."),
    max_model_len: int = typer.Option(None, help="Engine: most tokens of one request."),
    max_num_seqs: int = typer.Option(
        None, help="Engine: requests computed at once.  [default: most streams]"
    ),
    gpu_memory_utilization: float = typer.Option(None, help="Engine: share of GPU memory to take."),
    tensor_parallel: int = typer.Option(None, help="Engine: devices that split each layer."),
    pipeline_parallel: int = typer.Option(
        None, help="Engine: devices that split the layers among them."
    ),
    data_parallel: int = typer.Option(None, help="Engine: copies of the model behind one address."),
    kv_cache_dtype: str = typer.Option(None, help="Engine: type of the KV cache."),
    prefix_caching: bool = typer.Option(
        None, "--prefix-caching/--no-prefix-caching", help="Engine: reuse shared beginnings."
    ),
    attention: str = typer.Option(None, help="Engine: sdpa, eager, flash_attention_2, ..."),
    speculative: str = typer.Option(
        None, help="Engine: ngram:5, draft:PATH, medusa:PATH or eagle:PATH."
    ),
    lora: list[str] = typer.Option(
        None, help="Engine: an adapter, NAME=PATH; a request names it as its model."
    ),
    threads: int = typer.Option(None, help="Engine: processor threads."),
    set_: list[str] = typer.Option(
        None, "--set", help="An option of one engine, key=value. May be repeated."
    ),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the run.  [default: results/...]"
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Load a server and report TTFT, TPOT, ITL, E2E, throughput, goodput and memory
    (docs/METRICS.md).
    """
    from llmops_cli.bench.page import save_page
    from llmops_cli.bench.recipe import BenchRecipe
    from llmops_cli.bench.report import problems_of
    from llmops_cli.bench.run import bench as run
    from llmops_cli.cli.screen import Progress, print_json, say, show_table, width_of
    from llmops_cli.cli.settings import engine_options, parse_body, resolve_flags
    from llmops_cli.core.errors import GateFailed, LlmopsError, UsageError
    from llmops_cli.core.problem import summary
    from llmops_cli.engines import checked_options, load_engine
    from llmops_cli.models.prepare import for_engine, with_parts
    from llmops_cli.runtime.env import ensure_env
    from llmops_cli.runtime.store import make_run_dir

    flags: dict[str, object] = {
        "backend": backend,
        "model": model,
        "url": url,
        "api": api,
        "headers": header or None,
        "body": parse_body(body),
        "api_key_env": api_key_env,
        "proxy": proxy,
        "insecure": insecure,
        "concurrency": concurrency,
        "rate": rate,
        "ramp": ramp,
        "steps": steps,
        "burst": burst,
        "trace": trace,
        "time_scale": time_scale,
        "arrival": arrival,
        "burstiness": burstiness,
        "max_in_flight": max_in_flight,
        "requests": requests,
        "duration_s": duration_s,
        "warmup": warmup,
        "repeats": repeats,
        "dataset": dataset,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "shared_prefix_tokens": shared_prefix_tokens,
        "shared_prefix_share": shared_prefix_share,
        "turns": turns,
        "think_time_s": think_time_s,
        "warm_cache": warm_cache,
        "slo": slo,
        "search": search,
        "workers": workers,
        "records": records,
        "allow_invalid": allow_invalid,
        "seed": seed,
        "timeout_s": timeout_s,
        "options": engine_options(
            set_,
            dtype=dtype,
            max_model_len=max_model_len,
            max_num_seqs=max_num_seqs,
            gpu_memory_utilization=gpu_memory_utilization,
            tensor_parallel=tensor_parallel,
            pipeline_parallel=pipeline_parallel,
            data_parallel=data_parallel,
            kv_cache_dtype=kv_cache_dtype,
            prefix_caching=prefix_caching,
            attention=attention,
            speculative=speculative,
            lora=lora,
            threads=threads,
        ),
    }
    resolved, origins = resolve_flags(BenchRecipe, flags, file=recipe, key="bench")
    engine = load_engine(resolved.backend)
    options = checked_options(resolved.backend, engine, resolved.options)
    with Progress() as progress:
        if engine.environment:  # before anything is trained or converted for it
            ensure_env(
                engine.environment,
                on_line=progress.lines(f"environment {engine.environment}", log=say),
            )
        artifact = for_engine(engine, resolved.model, progress=progress)
        artifact = with_parts(engine, artifact, options, progress=progress)
        if output is not None and (output / "report.json").exists():
            raise UsageError(
                f"{output} holds a run already", hint="choose another -o, or remove it"
            )
        place = (
            urlsplit(resolved.url).netloc
            if resolved.url
            else f"{resolved.backend}-{Path(resolved.model).name}"
        )
        folder = output or make_run_dir("bench", place)
        try:
            report = run(resolved, origins, artifact, folder=folder, progress=progress)
        except LlmopsError:
            with suppress(OSError):
                folder.rmdir()  # only if nothing came of it
            raise
        save_page([(folder, report)], folder / "report.html")
    if as_json:
        print_json(report)
    else:
        from llmops_cli.bench.show import bench_table

        show_table(bench_table(report, width=width_of(sys.stderr)))
        say(f"report: {folder / 'report.json'}    plots: {folder / 'report.html'}")
    problems = problems_of(report)
    if problems and not resolved.allow_invalid:
        raise GateFailed(
            f"INVALID: {summary(problems)}",
            hint=f"the report is in {folder}; --allow-invalid accepts it",
        )
