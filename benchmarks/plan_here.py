"""This machine's memory and speed, predicted and measured, before and after `plan fit`.

    python -m benchmarks.plan_here --work DIR [--engines llamacpp,transformers,vllm]
        [--models smollm2,small,medium] [--formats 16,8,4] [--streams 1,4,16] [--minutes 15]

Each engine serves each model in each format once; all loads are benched on that server. What is
there already is not measured again, so a run that was stopped, or whose minutes were over, goes on.
A run of an engine, a model and a format is in the fit or in the test as a whole: every third is
tested. What an engine does not take is named, with its own words.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks.random_model import make
from llmops_cli.core.errors import LlmopsError
from llmops_cli.core.progress import Silent
from llmops_cli.models.convert import as_hf
from llmops_cli.models.find import find_model
from llmops_cli.plan.bench_runs import MOST_FAILED, read_bench
from llmops_cli.plan.fit import observe
from llmops_cli.plan.fitted import FitFile, write_fit
from llmops_cli.plan.recipe import Engine, PlanRecipe
from llmops_cli.plan.report import ServePlan
from llmops_cli.plan.run import plan_serve
from llmops_cli.runtime.runs import load_report
from llmops_cli.sizing.calibration import Observation, fit
from llmops_cli.sizing.efficiency import constants_digest

PROMPT_TOKENS = 32
OUTPUT_TOKENS = 24
REQUESTS = 16
REPEATS = 3
"""The middle one counts: a guest of a shared machine is stopped for seconds at times."""
TESTED_EVERY = 3
FAILED = "failed.txt"
STOPPED = (130, 143, -2, -9, -15)
"""Exit codes of a command that somebody ended, which says nothing of the engine."""


class Shape(NamedTuple):
    """Of a random model."""

    layers: int
    hidden: int
    intermediate: int


RANDOM = {
    "small": Shape(layers=12, hidden=768, intermediate=2048),
    "medium": Shape(layers=16, hidden=1152, intermediate=3072),
}
"""45 and 130 million parameters beside the table of words. They say a known text, since an answer
without any text is an error."""
GGUF_SCHEMES = {"16": "F16", "8": "Q8_0", "4": "Q4_K_M"}
FOLDER_METHODS = {"8": "int8", "4": "int4"}
FOLDER_SCHEMES = {"16": "BF16", "8": "W8A8", "4": "W4A16"}
OPTIONS = {
    "llamacpp": ["--max-model-len", "512"],
    "transformers": ["--dtype", "bfloat16"],
    "vllm": ["--max-model-len", "512", "--dtype", "bfloat16", "--set", "kv_space_gib=1"],
}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One server: its engine, its model and the bits of its weights."""

    engine: Engine
    model: str
    bits: str

    @property
    def name(self) -> str:
        return f"{self.engine}-{self.model}-{self.bits}"

    @property
    def scheme(self) -> str | None:
        """What a plan is told; a GGUF file says it itself."""
        return None if self.engine == "llamacpp" else FOLDER_SCHEMES[self.bits]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a second of one load."""

    run: str
    engine: str
    streams: int
    measured: float
    predicted: float
    low: float
    high: float
    is_tested: bool

    @property
    def error(self) -> float:
        return abs(self.predicted / self.measured - 1)

    @property
    def is_held(self) -> bool:
        return self.low <= self.measured <= self.high


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of an engine's processes at their peak; `counted`: weights and cache."""

    run: str
    engine: str
    measured: float
    counted: float
    is_tested: bool


def main() -> None:
    asked = _arguments()
    end = time.monotonic() + asked.minutes * 60
    runs = [
        Run(engine=engine, model=model, bits=bits)
        for engine in asked.engines
        for model in asked.models
        for bits in asked.formats
    ]
    left = [run for run in runs if not _measured(asked.work, run, asked.streams, end=end)]
    done = [run for run in runs if _is_whole(asked.work / run.name)]
    for run in runs:
        reason = asked.work / f"{run.name}.{FAILED}"
        if reason.exists():
            print(f"not taken: {run.name}: {reason.read_text().strip()}")
    for run in left:
        print(f"not measured yet: {run.name}; the same command goes on")
    if done:
        _tell(asked.work, done)


def _arguments() -> Any:  # Any: argparse's
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=_folder_of, required=True)
    parser.add_argument("--engines", type=_words, default=list(OPTIONS))
    parser.add_argument("--models", type=_words, default=["smollm2", *RANDOM])
    parser.add_argument("--formats", type=_words, default=["16", "8", "4"])
    parser.add_argument("--streams", default="1,4,16")
    parser.add_argument("--minutes", type=float, default=15)
    return parser.parse_args()


def _folder_of(text: str) -> Path:
    folder = Path(text).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _words(text: str) -> list[str]:
    return text.split(",")


def _measured(work: Path, run: Run, streams: str, *, end: float) -> bool:
    """Whether all is known of it now."""
    place = work / run.name
    reason = work / f"{run.name}.{FAILED}"
    if _is_whole(place) or reason.exists():
        return True
    if time.monotonic() > end:
        return False
    shutil.rmtree(place, ignore_errors=True)
    print(f"{run.name} ...", flush=True)
    try:
        model = _model(work, run)
    except (LlmopsError, RuntimeError) as error:
        reason.write_text(f"{error}\n")
        return True
    load = ["--concurrency", streams, "--requests", str(REQUESTS), "--warmup", "2"]
    load += ["--repeats", str(REPEATS)]
    load += ["--input-tokens", str(PROMPT_TOKENS), "--output-tokens", str(OUTPUT_TOKENS)]
    told = ["--backend", run.engine, "--model", str(model), *OPTIONS[run.engine]]
    told = [*told, *load, "--allow-invalid", "-o", str(place)]
    failure = _llmops(["bench", *told], place=work)
    if failure:
        reason.write_text(f"{failure}\n")
    return True


def _is_whole(place: Path) -> bool:
    """A run that was stopped has a report as well, which says so."""
    report = place / "report.json"
    return report.exists() and bool(load_report(place).manifest.complete)


def _llmops(words: Sequence[str], *, place: Path) -> str:
    """What went wrong, in its own line, or nothing. Reports lie in `place`."""
    argv = [sys.executable, "-m", "llmops_cli", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=600, cwd=place)
    if done.returncode == 0:
        return ""
    if done.returncode in STOPPED:
        raise SystemExit(f"stopped: {words[0]}; the same command goes on")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    return lines[0] if lines else f"exit code {done.returncode}"


def _folder(work: Path, model: str) -> Path:
    """Its weights in 16 bits, as Hugging Face has them."""
    if model in RANDOM:
        shape = RANDOM[model]
        return make(
            work / "models" / model,
            layers=shape.layers,
            hidden=shape.hidden,
            intermediate=shape.intermediate,
            chain=True,
        )
    found = as_hf(find_model(model, progress=Silent()), progress=Silent())
    assert found.path is not None
    return Path(found.path)


def _model(work: Path, run: Run) -> Path:
    """Raises: RuntimeError for a format that cannot be made."""
    source = _folder(work, run.model)
    if run.engine == "llamacpp":
        schemes = ",".join(GGUF_SCHEMES.values())
        wish = ["--method", "gguf", "--scheme", schemes, "--imatrix", "none"]
        made = _quantized(work, source, f"{run.model}-gguf", wish)
        return next(made.glob(f"*-{GGUF_SCHEMES[run.bits]}.gguf"))
    if run.bits not in FOLDER_METHODS:
        return source
    method = FOLDER_METHODS[run.bits]
    made = _quantized(work, source, f"{run.model}-{method}", ["--method", method])
    return next(made.rglob("config.json")).parent


def _quantized(work: Path, source: Path, name: str, wish: list[str]) -> Path:
    """The folder of all that one command makes, so that a conversion is checked once."""
    folder = work / "models" / name
    is_whole = work / "models" / f"{name}.made"
    if not is_whole.exists():
        quick = ["--no-quality", "--no-verify", "-o", str(folder)]
        failure = _llmops(["quantize", str(source), *wish, *quick], place=work)
        if failure:
            raise RuntimeError(failure)
        is_whole.touch()
    return folder


def _tell(work: Path, runs: Sequence[Run]) -> None:
    """The tables, and everything in result.json."""
    tested = {run.name for number, run in enumerate(runs) if number % TESTED_EVERY == 2}
    fitted = work / "fit.json"
    observations: list[Observation] = []
    for run in runs:
        if run.name not in tested:
            place = work / run.name
            bench = read_bench(place, model=str(_model(work, run)), gpu=None, quant=run.scheme)
            observations += observe(bench)
    write_fit(fitted, FitFile(constants=constants_digest(), groups=fit(observations)))
    before = [cell for run in runs for cell in _cells(work, run, tested, fitted=None)]
    after = [cell for run in runs for cell in _cells(work, run, tested, fitted=fitted)]
    sizes = [_size(work, run, tested) for run in runs]
    for engine in dict.fromkeys(run.engine for run in runs):
        for when, cells in (("before", before), ("after", after)):
            own = [cell for cell in cells if cell.engine == engine]
            _tell_speed(f"{engine}, {when} the fit", own)
        _tell_size(engine, [size for size in sizes if size.engine == engine])
    result = {"before": before, "after": after, "sizes": sizes}
    (work / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))


def _plan(work: Path, run: Run, level: Any, fitted: Path | None) -> ServePlan:  # Any: as measured
    """Of the load as it was."""
    answered = max(1, level.ttft_ms.count)
    output = max(2, round(level.output_tokens / answered))
    prompt = max(1, round(level.input_tokens / answered))
    recipe = PlanRecipe(
        model=str(_model(work, run)),
        quant=run.scheme,
        engine=run.engine,
        this_machine=True,
        context=prompt + output,
        output_tokens=output,
        concurrency=level.concurrency,
        fitted=None if fitted is None else str(fitted),
    )
    return plan_serve(recipe).plan


def _cells(work: Path, run: Run, tested: set[str], *, fitted: Path | None) -> Iterator[Cell]:
    report: Any = load_report(work / run.name)  # Any: each command has its own report
    for level in report.levels:
        figure = _plan(work, run, level, fitted).throughput_tps
        failed = level.errors > MOST_FAILED * level.requests
        if figure.value is None or failed or not level.output_tokens_per_s:
            continue
        yield Cell(
            run=run.name,
            engine=run.engine,
            streams=level.concurrency,
            measured=_tokens_per_s(level),
            predicted=figure.number,
            low=float(figure.low or 0.0),
            high=float(figure.high or math.inf),
            is_tested=run.name in tested,
        )


def _tokens_per_s(level: Any) -> float:  # Any: as above
    each_tps = level.rates_each.get("output_tokens_per_s")
    return float(median(each_tps)) if each_tps else float(level.output_tokens_per_s)


def _size(work: Path, run: Run, tested: set[str]) -> Size:
    report: Any = load_report(work / run.name)  # Any: as above
    memory = report.memory
    measured = memory.engine_peak_pss_bytes or memory.engine_peak_rss_bytes or 0
    widest = max(report.levels, key=lambda level: level.concurrency)
    plan = _plan(work, run, widest, None)
    tokens = widest.concurrency * (PROMPT_TOKENS + OUTPUT_TOKENS)
    return Size(
        run=run.name,
        engine=run.engine,
        measured=float(measured),
        counted=plan.weights_bytes.number + tokens * plan.kv_bytes_per_token.number,
        is_tested=run.name in tested,
    )


def _tell_speed(title: str, cells: Sequence[Cell]) -> None:
    for name, part in (("fitted", False), ("tested", True)):
        own = [cell for cell in cells if cell.is_tested == part]
        if own:
            held = sum(cell.is_held for cell in own) / len(own)
            error = median(cell.error for cell in own)
            print(f"{title}, {name}: {len(own)} loads, error {error:.0%}, in the band {held:.0%}")


def _tell_size(engine: str, sizes: Sequence[Size]) -> None:
    """The engine's own memory is what runs of the fit have beyond weights and cache."""
    own = [size.measured - size.counted for size in sizes if not size.is_tested]
    if not own:
        return
    base = median(own)
    for when, more in (("before", 0.0), ("after", base)):
        errors = [
            abs((size.counted + more) / size.measured - 1) for size in sizes if size.is_tested
        ]
        if errors:
            print(f"{engine}, memory {when}: {len(errors)} runs, error {median(errors):.0%}")
    print(f"{engine}, memory beyond weights and cache: {base / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
