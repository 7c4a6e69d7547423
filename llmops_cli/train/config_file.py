"""The config.json of what is trained: a folder's, a file, a hub model's, or the demo's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.models.named import is_named, named_model
from llmops_cli.models.prepare import unpacked
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import at_home
from llmops_cli.train.defaults import DEMO
from llmops_cli.train.dry_run import demo_config
from llmops_cli.train.recipe import TrainRecipe

CONFIG = "config.json"
Config = dict[str, Any]  # Any: each architecture has fields of its own


def config_of(recipe: TrainRecipe, model: str | None) -> Config:
    """The config.json of the model that is trained.

    Raises: UsageError for a folder or a file that has none, EnvironmentMissing for a named model
    that is not here yet.
    """
    if model is None and recipe.init is None:
        return demo_config(recipe)
    if model == DEMO:
        return demo_config(TrainRecipe())
    reference = model or recipe.init
    assert reference is not None
    return _read(_config_path(reference))


def _config_path(reference: str) -> Path:
    if is_named(reference):
        return _kept(reference) / CONFIG
    path = at_home(reference)
    if path.is_dir():
        return path / CONFIG
    if path.is_file() or not _is_hub_name(reference):
        return path
    return _downloaded(reference)


def _kept(name: str) -> Path:
    """Nothing is fetched or trained for a plan; what is here may have to become a folder once."""
    kept = named_model(name).kept(progress=Silent())
    if kept is None:
        raise EnvironmentMissing(
            f"the model '{name}' is not here yet, and a plan needs its {CONFIG}",
            hint=f"llmops models get {name}",
        )
    folder = unpacked(kept, progress=Silent()).path
    assert folder is not None
    return Path(folder)


def _is_hub_name(reference: str) -> bool:
    return reference.count("/") == 1 and not reference.startswith((".", "/"))


def _downloaded(reference: str) -> Path:
    """Only its config.json, since the user named a hub model."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise EnvironmentMissing(
            f"no folder {reference}, and hub models need huggingface_hub",
            hint="pip install 'llmops-cli[train]'",
        ) from None
    try:
        return Path(hf_hub_download(reference, CONFIG))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentMissing(
            f"no folder {reference}, and the hub gave no {CONFIG}: {reason[:160]}",
            hint="check the name and the network, or --init CONFIG",
        ) from error


def _read(path: Path) -> Config:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"no configuration of a model at {path}",
            hint=near_path(path, "a config.json, or a folder with one"),
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            hint="a config.json, or a folder with one",
        ) from error
    try:
        return object_in(raw)
    except UNREADABLE:
        reason = wrong_in(raw, dict[str, Any])
        raise UsageError(
            f"{path} is no configuration of a model: {reason}",
            hint="a config.json, or a folder with one",
        ) from None
