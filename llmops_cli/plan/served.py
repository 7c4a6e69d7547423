"""How `llmops serve` finds the model of a plan, where a public name is a shape and no more."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.models.find import may_be_found
from llmops_cli.models.named import is_named
from llmops_cli.plan.models import read_load
from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.hub_names import HUB_NAMES

SIM = "sim"
"""The engine that needs no model, and takes any name."""
ENDS = (".gguf", ".json")


def reference_of(setting: Setting) -> str:
    """What stands as `model` in a gateway's file.

    Raises: UsageError for what an engine that we start cannot be given.
    """
    model = str(setting.recipe.model)
    if setting.engine == SIM or is_named(model):
        return model
    if "://" in model:
        raise UsageError(
            "serve takes no URL as a model",
            hint="download it and plan the file, or name it as the hub does: owner/name",
        )
    path = Path(model).expanduser()
    if path.exists():
        return str(_weights_at(path))
    if may_be_found(model):
        return model
    if model.lower() in HUB_NAMES:
        return HUB_NAMES[model.lower()]
    raise UsageError(
        f"'{model}' has the shape of a model that is known, but serve cannot find it by that name",
        hint="name it as the hub does: owner/name",
    )


def _weights_at(path: Path) -> Path:
    """In full: a gateway is started from any folder. A config.json stands for its folder.

    Raises: UsageError for a config without weights.
    """
    if path.suffix != ".json":
        return path.absolute()
    folder = path.absolute().parent
    if not any(folder.glob("*.safetensors")):
        raise UsageError(
            f"{path} has no weights beside it, so there is nothing to serve",
            hint="plan the model's folder, or a name of the hub: owner/name",
        )
    return folder


def served_name(setting: Setting) -> str:
    """By what name clients ask for it: the model's own, without its folder."""
    name = setting.load.name.rstrip("/").rpartition("/")[2]
    for end in ENDS:
        name = name.removesuffix(end)
    return name or setting.load.name


def served_notes(setting: Setting) -> tuple[str, ...]:
    """What of the plan a file cannot say."""
    found = []
    reference = reference_of(setting)
    if reference.lower() != str(setting.recipe.model).lower() and not Path(reference).exists():
        found.append(
            f"{setting.recipe.model} is written as {reference}: change it if you mean another"
        )
    if setting.engine == SIM or setting.recipe.quant is None:
        return tuple(found)
    recipe = setting.recipe
    own = read_load(str(recipe.model), scheme=None, cache_type=recipe.kv_type).scheme
    if own != setting.load.scheme:
        found.append(
            f"planned in {setting.load.scheme}, and {reference} is {own}: "
            "make it first (llmops quantize), and name what was made"
        )
    return tuple(found)
