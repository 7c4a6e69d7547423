"""`llmops quantize`."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command()(quantize)


def quantize(
    model: str = typer.Argument(None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"),
    method: str = typer.Option(None, help="gguf.  [default: gguf]"),
    scheme: str = typer.Option(None, help="One or more, with commas: Q4_K_M,Q8_0.  [default: Q4_K_M]"),
    imatrix: str = typer.Option(None, help="auto (4 bits and below), none, or a file.  [default: auto]"),
    eval_text: str = typer.Option(None, help="Held-out text for perplexity.  [default: the model's, else ours]"),
    calibration_text: str = typer.Option(None, help="Text for the importance matrix."),
    eval_tokens: int = typer.Option(None, help="Tokens of held-out text to read.  [default: 8192]"),
    quality: bool = typer.Option(None, "--quality/--no-quality", help="Measure perplexity and KL.  [default: yes]"),
    threads: int = typer.Option(None, help="CPU threads.  [default: all]"),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(None, "-o", "--output", help="Folder for the models.  [default: the cache]"),
    as_json: bool = typer.Option(False, "--json", help="Print the report on stdout and nothing else."),
) -> None:
    """Make a model smaller, and measure what that cost."""
    from llmops_cli.cli.screen import Progress, print_json, say, show_table
    from llmops_cli.cli.settings import resolve_flags
    from llmops_cli.core.recipe import QuantizeRecipe
    from llmops_cli.pipeline.models import find_model, quantized_dir
    from llmops_cli.quantize.run import check_schemes
    from llmops_cli.quantize.run import quantize as run
    from llmops_cli.report.tables import quantize_table
    from llmops_cli.runtime.store import make_run_dir, to_json, write_atomic

    flags: dict[str, object] = {
        "model": model, "method": method, "scheme": scheme, "imatrix": imatrix, "eval_text": eval_text,
        "calibration_text": calibration_text, "eval_tokens": eval_tokens, "quality": quality, "threads": threads,
    }  # fmt: skip
    resolved, origins = resolve_flags(QuantizeRecipe, flags, file=recipe, key="quantize")
    check_schemes(resolved)  # a typo should not cost a training run
    with Progress() as progress:
        source = find_model(resolved.model, on_event=progress.event)
        report = run(
            resolved,
            origins,
            source,
            folder=output or quantized_dir(source),
            on_event=progress.event,
            warn=say,
        )
    folder = make_run_dir("quantize", f"{Path(resolved.model).name}-{resolved.method}")
    write_atomic(folder / "report.json", to_json(report))
    if as_json:
        print_json(report)
    else:
        show_table(quantize_table(report))
        say(f"report: {folder / 'report.json'}")
