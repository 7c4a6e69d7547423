"""`llmops bench`."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    backend: str = typer.Option(None, help="llamacpp, remote or sim.  [default: llamacpp, remote with --url]"),
    model: str = typer.Option(None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"),
    url: str = typer.Option(None, help="An OpenAI-style server that already runs."),
    concurrency: str = typer.Option(None, help="Streams at once, one level each.  [default: 1,4,16]"),
    requests: int = typer.Option(None, help="Requests per level.  [default: 4 x streams, at least 16]"),
    input_tokens: int = typer.Option(None, help="Prompt length.  [default: 64]"),
    output_tokens: int = typer.Option(None, help="Answer length.  [default: 64]"),
    shared_prefix_tokens: int = typer.Option(None, help="Beginning that all prompts share.  [default: 0]"),
    seed: int = typer.Option(None, help="The same seed sends the same prompts.  [default: 0]"),
    timeout_s: float = typer.Option(None, help="Longest time for one request.  [default: 300]"),
    set_: list[str] = typer.Option(None, "--set", help="An engine option, key=value. May be repeated."),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(None, "-o", "--output", help="Folder for the run.  [default: results/...]"),
    as_json: bool = typer.Option(False, "--json", help="Print the report on stdout and nothing else."),
) -> None:
    """Load a server and report TTFT, TPOT, ITL, E2E, throughput and memory."""
    from llmops_cli.bench.run import bench as run
    from llmops_cli.cli.screen import Progress, print_json, say, show_table
    from llmops_cli.cli.settings import parse_set, resolve_flags
    from llmops_cli.core.recipe import BenchRecipe
    from llmops_cli.engines import check_options, load_engine
    from llmops_cli.pipeline.models import for_engine
    from llmops_cli.report.tables import bench_table
    from llmops_cli.runtime.env import find_env
    from llmops_cli.runtime.store import make_run_dir

    flags: dict[str, object] = {
        "backend": backend or ("remote" if url else None), "model": model, "url": url, "concurrency": concurrency,
        "requests": requests, "input_tokens": input_tokens, "output_tokens": output_tokens,
        "shared_prefix_tokens": shared_prefix_tokens, "seed": seed, "timeout_s": timeout_s, "options": parse_set(set_),
    }  # fmt: skip
    resolved, origins = resolve_flags(BenchRecipe, flags, file=recipe, key="bench")
    engine = load_engine(resolved.backend)
    check_options(engine, resolved.options)
    if engine.environment:
        find_env(engine.environment)  # say what is missing before training or converting anything
    with Progress() as progress:
        artifact = for_engine(engine, resolved.model, on_event=progress.event, warn=say)
        folder = output or make_run_dir("bench", f"{resolved.backend}-{Path(resolved.model).name}")
        report = run(resolved, origins, artifact, folder=folder, on_progress=progress.update)
    if as_json:
        print_json(report)
    else:
        show_table(bench_table(report))
        say(f"report: {folder / 'report.json'}")
