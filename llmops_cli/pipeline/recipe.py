"""What a recipe of steps asks for: YAML with the keys of PipelineRecipe."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.bench.idle import check_idle
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.calls import call
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.resolve import as_text, resolve
from llmops_cli.engines import engines_for, load_engine, parse_options
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.variants import GGUF, variants_of
from llmops_cli.runtime.recipes import refuse_other_commands
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.runs import REPORT
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of
from llmops_cli.serving.target import EngineTarget
from llmops_cli.train.recipe import TrainRecipe


class EvaluateRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The demo task by generation: `per_skill` prompts of each skill."""

    per_skill: int = 50


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine of a comparison; `scheme` quantizes to that GGUF type first."""

    name: str
    backend: str
    options: dict[str, str | int | float | bool] = {}
    scheme: str | None = None

    def engine_options(self) -> dict[str, str]:
        """As the command line would have them."""
        found = {}
        for name, value in self.options.items():
            found[name] = str(as_text(value))
        return found


class PipelineRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps in this order; a step whose key is absent is left out.

    `model` is used where `train` is absent. With `engines` the bench step runs over each of them,
    and nothing is quantized but what an entry asks for.
    """

    model: str = "demo"
    train: dict[str, object] | None = None
    quantize: dict[str, object] = {}
    engines: list[EngineEntry] = []
    bench: dict[str, object] | None = None
    evaluate: EvaluateRecipe | None = None


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps' own recipes, each checked as its command would."""

    train: TrainRecipe | None
    quantize: QuantizeRecipe
    bench: BenchRecipe | None


def load_recipe(path: Path) -> PipelineRecipe:
    """From a YAML file, or from a saved run of one. Raises: UsageError naming the line or field."""
    file = path
    if path.is_dir():
        file = path / REPORT
    raw = _yaml(file)
    if isinstance(raw, dict) and "schema" in raw:
        raw = _of_report(path, raw)
    if not isinstance(raw, dict):
        hint = "keys: model, train, quantize, engines, bench, evaluate"
        raise UsageError(f"{path} holds no recipe", hint=hint)
    known = [field.name for field in msgspec.structs.fields(PipelineRecipe)]
    refuse_other_commands(path, raw, command="run", known=known)
    for key in raw:
        if key not in known:
            raise unknown_name("recipe key", str(key), known)
    misfit = misfit_of(raw, PipelineRecipe)
    if misfit is not None:
        raise UsageError(f"{path}: {misfit.told}", hint=misfit.hint)
    return msgspec.convert(raw, PipelineRecipe)


def _of_report(path: Path, report: dict[str, object]) -> object:
    """A saved run is a recipe: its manifest has it."""
    schema = str(report["schema"])
    if not schema.startswith("llmops.run/"):
        command = schema.removeprefix("llmops.").partition("/")[0]
        raise UsageError(
            f"{path} is a report of {command}, not of a run",
            hint=call(command, "--recipe", path),
        )
    manifest = report.get("manifest")
    recipe = manifest.get("recipe") if isinstance(manifest, dict) else None
    if not isinstance(recipe, dict):
        raise UsageError(f"{path} is a broken report: it holds no recipe")
    return recipe


def _yaml(path: Path) -> object:
    try:
        return load_yaml(read_text(path))
    except FileNotFoundError:
        hint = "llmops run recipes/quickstart.yaml"
        raise UsageError(f"no recipe at {path}", hint=hint) from None
    except UNREADABLE as error:
        raise UsageError(f"{path} is not YAML: {reason_of(error)}") from error


def steps_of(recipe: PipelineRecipe) -> Steps:
    """The steps, checked before the first minute of work is spent. Raises: UsageError."""
    steps = Steps(
        train=_train(recipe),
        quantize=_quantize(recipe),
        bench=_bench(recipe),
    )
    bench = steps.bench
    if bench is not None:
        load_engine(bench.backend)
    if recipe.engines:
        _check_engines(recipe, bench)
    elif bench is not None and bench.url:
        raise UsageError(
            "bench.url is one server: its speed would stand beside every quantized file",
            hint="name servers under engines: {name: x, backend: remote, options: {url: ...}}, "
            "or llmops bench --url",
        )
    elif bench is not None or recipe.evaluate is not None:
        _check_served(steps)
    return steps


def _check_served(steps: Steps) -> None:
    """An engine that cannot load a file, or loads none, says nothing of its speed."""
    backend = steps.bench.backend if steps.bench else EngineTarget().backend
    formats = load_engine(backend).facts.formats
    for variant in variants_of(steps.quantize):
        made = variant.spec.format
        if made not in formats:
            raise UsageError(
                f"backend '{backend}' cannot load {variant.scheme}, which is {made}",
                hint=_able(made),
            )


def _able(model_format: str) -> str:
    able = engines_for(model_format)
    if not able:
        return "no engine serves that; leave bench and evaluate out"
    return f"backend: {' or '.join(able)}"


def _check_engines(recipe: PipelineRecipe, bench: BenchRecipe | None) -> None:
    if bench is None:
        raise UsageError(
            "engines are compared by a load test",
            hint="bench: {concurrency: [1, 16]}",
        )
    if bench.url:
        raise UsageError(
            "bench.url and engines exclude one another",
            hint="give a server its own entry: {name: x, backend: remote, options: {url: ...}}",
        )
    names = [entry.name for entry in recipe.engines]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two engines are named {name}",
                hint="give each a name of its own: the comparison has a line for each",
            )
    for entry in recipe.engines:
        engine = load_engine(entry.backend)
        options = bench.options | entry.engine_options()
        parse_options(entry.backend, engine, options)
        if entry.scheme and GGUF not in engine.facts.formats:
            raise UsageError(
                f"engine {entry.name}: backend '{entry.backend}' cannot load {entry.scheme}, "
                f"which is {GGUF}",
                hint=_able(GGUF),
            )


def _train(recipe: PipelineRecipe) -> TrainRecipe | None:
    if recipe.train is None:
        return None
    found = resolve(TrainRecipe, command="train", file=recipe.train)
    return found.recipe


def _require_no_model(step: str, fields: dict[str, object]) -> None:
    if "model" in fields:
        raise UsageError(
            f"{step}.model: a recipe's model stands at its top, for every step",
            hint=f"model: {fields['model']}",
        )


def _quantize(recipe: PipelineRecipe) -> QuantizeRecipe:
    _require_no_model("quantize", recipe.quantize)
    fields: dict[str, object] = {"verify": False}
    fields |= recipe.quantize
    fields["model"] = recipe.model
    found = resolve(QuantizeRecipe, command="quantize", file=fields)
    return found.recipe


def _bench(recipe: PipelineRecipe) -> BenchRecipe | None:
    if recipe.bench is None:
        return None
    _require_no_model("bench", recipe.bench)
    fields = recipe.bench | {"model": recipe.model}
    found = resolve(BenchRecipe, command="bench", file=fields)
    check_idle(found.recipe, found.origins)
    return found.recipe
