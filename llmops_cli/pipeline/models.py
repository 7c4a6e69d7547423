"""What a user types as MODEL, as an artifact in a format the engine can load."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import FORMATS, Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.options import loras_of, speculation_of
from llmops_cli.core.recipe import QuantizeRecipe, TrainRecipe, resolve
from llmops_cli.core.spec import JobSpec
from llmops_cli.engines import ENGINES, Engine, load_engine
from llmops_cli.quantize.run import quantize
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.job import Json, run_job
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.runtime.store import digest_path, digest_value, locked, size_of
from llmops_cli.train.run import train

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
OnEvent = Callable[[Json], None]


def find_model(reference: str, *, on_event: OnEvent) -> Artifact:
    """`demo` (trained on first use), a folder, a .gguf file, or an owner/name of the Hugging Face
    hub.

    Raises: UsageError for a path that is not there or no model.
    """
    if reference == "demo":
        recipe, origins = resolve(TrainRecipe)
        report = train(recipe, origins, on_event=on_event)
        return _artifact("demo", Path(report.path), "hf", digest=report.digest)
    path = Path(reference).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError(
                    f"{path} is no GGUF file", hint="pass a model folder, a .gguf file or demo"
                )
        return _artifact(reference, path, "gguf")
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(
                f"{path} has no config.json",
                hint="pass a Hugging Face model folder, a .gguf file or demo",
            )
        return _artifact(reference, path, _folder_format(path))
    if HUB_NAME.fullmatch(reference) and path.suffix != ".gguf" and not reference.startswith("."):
        return _artifact(reference, _download(reference), "hf")
    raise UsageError(
        f"no model at {reference}",
        hint="a folder, a .gguf file, owner/name of the Hugging Face hub, or demo",
    )


def _folder_format(path: Path) -> str:
    """hf, or how the folder's weights are quantized; ct2 for one that CTranslate2's converter
    wrote.
    """
    if (path / "model.bin").is_file() and not (path / "model.safetensors").exists():
        config = (path / "config.json").read_text(errors="replace")
        if '"architectures"' not in config:
            return "ct2"
    try:
        config_fields = msgspec.json.decode((path / "config.json").read_bytes())
        method = config_fields["quantization_config"]["quant_method"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "hf"
    return str(method) if method in FORMATS else "hf"


def _artifact(reference: str, path: Path, kind: str, *, digest: str | None = None) -> Artifact:
    path = path.resolve()
    return Artifact(
        reference=reference,
        format=kind,
        path=str(path),
        digest=digest or digest_path(path),
        size_bytes=size_of(path),
    )


def _download(name: str) -> Path:
    """The hub's local copy if there is one, else a download, since the user named a hub model."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise EnvironmentMissing(
            f"no folder {name}, and hub models need huggingface_hub",
            hint="pip install 'llmops-cli[train]'",
        ) from None
    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    for offline in (True, False):
        try:
            return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=offline))
        except Exception as error:  # noqa: BLE001 - the hub raises its own, requests' and OS errors alike
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise EnvironmentMissing(
        f"no folder {name}, and the hub gave no such model: {reason[:160]}",
        hint="check the name and the network",
    )


def as_gguf(artifact: Artifact, *, on_event: OnEvent, warn: Callable[[str], None]) -> Artifact:
    """The model as an F16 GGUF file, converted once and kept in the cache."""
    recipe = QuantizeRecipe(
        model=artifact.reference, scheme=["F16"], imatrix="none", quality=False, verify=False
    )
    report = quantize(
        recipe, {}, artifact, folder=quantized_dir(artifact), on_event=on_event, warn=warn
    )
    made = report.artifacts[0]
    return Artifact(
        reference=artifact.reference,
        format="gguf",
        path=made.path,
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


def as_ct2(artifact: Artifact, *, on_event: OnEvent) -> Artifact:
    """The model converted for CTranslate2, once, in the cache."""
    env = find_env("ctranslate2")
    target = cache_dir() / "ct2" / (artifact.digest or "sha256:unknown")[7:19]
    with locked(target):
        if not (target / "model.bin").exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            job = JobSpec(
                name="ct2-convert",
                python=env.python,
                program="ct2_convert.py",
                input={"model": artifact.path, "output": str(partial)},
            )
            run_job(job, folder=cache_dir() / "jobs" / f"ct2-{target.name}", on_event=on_event)
            partial.rename(target)
    return _artifact(artifact.reference, target, "ct2")


def with_parts(
    engine: Engine,
    artifact: Artifact,
    options: Mapping[str, str],
    *,
    on_event: OnEvent,
    warn: Callable[[str], None],
) -> Artifact:
    """The artifact with the adapters and the draft model that the options name, in the engine's
    format.

    Raises: UsageError for an adapter that is none, or is another model's.
    """
    parts = {
        path: _adapter(engine, artifact, path, on_event=on_event)
        for path in loras_of(options).values()
    }
    kind, reference, _ = speculation_of(options)
    if kind == "draft":
        parts[reference] = str(for_engine(engine, reference, on_event=on_event, warn=warn).path)
    elif reference:
        parts[reference] = str(find_model(reference, on_event=on_event).path)
    return msgspec.structs.replace(artifact, parts=parts)


def _adapter(engine: Engine, base: Artifact, reference: str, *, on_event: OnEvent) -> str:
    path = Path(reference).expanduser().resolve()
    if "gguf" in engine.formats:
        if path.is_dir():
            return _adapter_as_gguf(base, path, on_event=on_event)
        if not path.is_file():
            raise UsageError(
                f"no adapter at {reference}", hint="a PEFT folder or a GGUF adapter file"
            )
    elif not (path / "adapter_config.json").is_file():
        raise UsageError(
            f"{reference} has no adapter_config.json", hint="pass a PEFT adapter folder"
        )
    return str(path)


def _adapter_as_gguf(base: Artifact, folder: Path, *, on_event: OnEvent) -> str:
    """The PEFT adapter for llama.cpp, converted once for each base model."""
    target = (
        cache_dir() / "adapters" / f"{digest_value([base.digest, digest_path(folder)])[7:19]}.gguf"
    )
    with locked(target):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            job = JobSpec(
                name="lora-convert",
                python=find_env("llamacpp").python,
                program="lora_convert.py",
                input={"base": base.path, "adapter": str(folder), "target": str(partial)},
            )
            run_job(job, folder=cache_dir() / "jobs" / f"lora-{target.stem}", on_event=on_event)
            partial.rename(target)
    return str(target)


def quantized_dir(artifact: Artifact) -> Path:
    """Where files made from this model are kept when the user names no folder."""
    return cache_dir() / "quantized" / (artifact.digest or "sha256:unknown")[7:19]


def for_engine(
    engine: Engine, reference: str, *, on_event: OnEvent, warn: Callable[[str], None]
) -> Artifact:
    """The model in a format that `engine` serves."""
    if not engine.formats:
        return Artifact(reference=reference, format="remote")
    artifact = find_model(reference, on_event=on_event)
    if artifact.format in engine.formats:
        return artifact
    if artifact.format == "hf":
        if "gguf" in engine.formats:
            return as_gguf(artifact, on_event=on_event, warn=warn)
        if "ct2" in engine.formats:
            return as_ct2(artifact, on_event=on_event)
    able = [name for name in ENGINES if artifact.format in load_engine(name).formats]
    raise UsageError(
        f"this engine serves {', '.join(engine.formats)}; {reference} is {artifact.format}",
        hint=f"--backend {able[0]}" if able else "convert the model first",
    )
