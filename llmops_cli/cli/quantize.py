"""`llmops quantize`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command()(quantize)


def quantize(
    model: str = typer.Argument(
        None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"
    ),
    path: Path = typer.Argument(None, help="With `inspect` in MODEL's place: what to look at."),
    method: str = typer.Option(
        None,
        help="gguf, awq, gptq, int4 (plain rounding), autoround, smoothquant, int8, fp8, nf4, kv-cache.  "
        "[default: gguf]",
    ),
    engine: str = typer.Option(None, help="The library that does it, where a method has several."),
    scheme: str = typer.Option(
        None,
        help="One or more, with commas: Q4_K_M,Q8_0 or W4A16 or dynamic.  [default: by method]",
    ),
    sweep: str = typer.Option(
        None, help="Several methods at once: awq,gptq,gguf:Q4_K_M,int8@ctranslate2"
    ),
    bits: int = typer.Option(None, help="Bits of a weight.  [default: 4]"),
    group_size: int = typer.Option(
        None, help="Weights that share a scale; -1: a whole row.  [default: 128]"
    ),
    symmetric: bool = typer.Option(
        None, "--symmetric/--asymmetric", help="Without or with a zero point."
    ),
    ignore: str = typer.Option(
        None, help="More layers to leave as they are, beside lm_head and routers."
    ),
    calibration: str = typer.Option(
        None,
        help="builtin, generated (the model's own words), or a .txt, .jsonl or .parquet file.  [default: builtin]",
    ),
    samples: int = typer.Option(None, help="Calibration samples.  [default: 32 to 128, by method]"),
    seq_len: int = typer.Option(None, help="Tokens of a sample.  [default: 512]"),
    seed: int = typer.Option(None, help="[default: 0]"),
    imatrix: str = typer.Option(
        None, help="gguf: auto (4 bits and below), none, or a file.  [default: auto]"
    ),
    eval_text: str = typer.Option(
        None, help="Held-out text for perplexity.  [default: the model's, else ours]"
    ),
    eval_tokens: int = typer.Option(None, help="Tokens of held-out text to read.  [default: 8192]"),
    evals: str = typer.Option(
        None, "--eval", help="Tasks for the served artifacts: lm-eval:TASK, with commas."
    ),
    quality: bool = typer.Option(
        None, "--quality/--no-quality", help="Measure perplexity and KL.  [default: yes]"
    ),
    verify: bool = typer.Option(
        None, "--verify/--no-verify", help="Serve it once and let it speak.  [default: yes]"
    ),
    max_perplexity_increase: str = typer.Option(
        None, help="Exit 5 beyond it, and mark the artifact: 3%"
    ),
    fit: str = typer.Option(None, help="Recommend the best that fits: 6GiB"),
    threads: int = typer.Option(None, help="CPU threads.  [default: all]"),
    recipe: Path = typer.Option(None, help="A YAML recipe, or a saved report to repeat."),
    output: Path = typer.Option(
        None, "-o", "--output", help="Folder for the models.  [default: the cache]"
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Make a model smaller, and measure what that cost. `llmops quantize inspect PATH` tells what a
    model is.
    """
    import msgspec

    from llmops_cli.cli.screen import Progress, print_json, say, show_table
    from llmops_cli.cli.settings import parse_bytes, parse_share, resolve_flags
    from llmops_cli.core.errors import GateFailed, UsageError
    from llmops_cli.evaluate.evaluators import evaluators_of
    from llmops_cli.models.find import find_model
    from llmops_cli.models.prepare import quantized_dir
    from llmops_cli.quantize.choice import best_that_fits
    from llmops_cli.quantize.plot import save_quantize_plot
    from llmops_cli.quantize.recipe import QuantizeRecipe
    from llmops_cli.quantize.report import QuantizeReport
    from llmops_cli.quantize.run import quantize as run
    from llmops_cli.quantize.show import quantize_table
    from llmops_cli.quantize.variants import variants_of
    from llmops_cli.runtime.env import ensure_env
    from llmops_cli.runtime.store import make_run_dir, to_json, write_atomic

    if model == "inspect" and path is not None:
        show_inspection(path, as_json=as_json)
        return
    if path is not None:
        raise UsageError(
            f"one model at a time; '{path}' is one too many",
            hint="llmops quantize inspect PATH looks at one",
        )
    flags: dict[str, object] = {
        "model": model,
        "method": method,
        "engine": engine,
        "scheme": scheme,
        "sweep": sweep,
        "bits": bits,
        "group_size": group_size,
        "symmetric": symmetric,
        "ignore": ignore,
        "calibration": calibration,
        "samples": samples,
        "seq_len": seq_len,
        "seed": seed,
        "imatrix": imatrix,
        "eval_text": eval_text,
        "eval_tokens": eval_tokens,
        "quality": quality,
        "verify": verify,
        "threads": threads,
        "eval": evals,
        "fit_bytes": parse_bytes(fit, "--fit"),
        "max_perplexity_increase": parse_share(
            max_perplexity_increase, "--max-perplexity-increase"
        ),
    }
    resolved, origins = resolve_flags(QuantizeRecipe, flags, file=recipe, key="quantize")
    variants = variants_of(resolved)  # a typo should not cost a training run
    evaluators_of(resolved.eval, model=resolved.model)
    broken: GateFailed | None = None
    with Progress() as progress:
        for environment in dict.fromkeys(v.spec.environment for v in variants):
            ensure_env(environment, on_line=progress.lines(f"environment {environment}", log=say))
        source = find_model(resolved.model, progress=progress)
        try:
            report = run(
                resolved,
                origins,
                source,
                folder=output or quantized_dir(source),
                progress=progress,
                evaluators=evaluators_of(resolved.eval, model=resolved.model, source=source),
            )
        except GateFailed as error:
            if not isinstance(error.result, QuantizeReport):
                raise
            broken = error
            report = error.result
    if resolved.fit_bytes is not None:
        report = msgspec.structs.replace(
            report, recommended=best_that_fits(report.artifacts, resolved.fit_bytes)
        )
    folder = make_run_dir(
        "quantize", f"{Path(resolved.model).name}-{'sweep' if resolved.sweep else resolved.method}"
    )
    write_atomic(folder / "report.json", to_json(report))
    plot = (
        save_quantize_plot(report, folder / "quantize.png") if len(report.artifacts) > 1 else None
    )
    if as_json:
        print_json(report)
    else:
        show_table(quantize_table(report))
        for name, reason in report.failures.items():
            say(f"{name} was not made: {reason}")
        if report.recommended:
            say(report.recommended)
        say(f"report: {folder / 'report.json'}" + (f"    plot: {plot}" if plot else ""))
    if broken:
        raise broken


def show_inspection(path: Path, *, as_json: bool) -> None:
    from llmops_cli.cli.screen import Progress, show_table
    from llmops_cli.models.find import find_model
    from llmops_cli.quantize.inspect import inspect
    from llmops_cli.quantize.show import inspection_table
    from llmops_cli.runtime.store import to_json

    if not path.exists():  # demo, or a hub model that is here
        with Progress() as progress:
            path = Path(find_model(str(path), progress=progress).path or path)
    found = inspect(path)
    if as_json:
        sys.stdout.write(to_json(found).decode())
    else:
        show_table(inspection_table(found))
