"""A GGUF file under a size whose tensors each have the type that is worth its bytes.

What each tensor costs in each type is measured once for a model and a text, and kept; sizes are
then a matter of arithmetic.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed, UsageError
from llmops_cli.core.spec import Env
from llmops_cli.models.convert import Conversion, convert, kept_conversion, short
from llmops_cli.quantize.allocation import (
    Allocation,
    Option,
    allocate,
    size_of,
    smallest_choice,
)
from llmops_cli.quantize.mixture import Mixture, mixture_of
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.files import size_of as size_of_files
from llmops_cli.runtime.paths import cache_dir

PROGRAM = "llamacpp.sensitivity"
FILE = "sensitivities.json"
TYPES = (
    "Q8_0",
    "Q6_K",
    "Q5_1",
    "Q5_K",
    "Q5_0",
    "Q4_1",
    "Q4_K",
    "Q4_0",
    "IQ4_NL",
    "IQ4_XS",
    "Q3_K",
    "IQ3_S",
    "IQ3_XXS",
    "Q2_K",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
)
"""What a tensor can be, beside what it is in the 16-bit file."""
PROBES = ("Q3_K", "Q4_0")
"""The type in which a group's loss is measured: the first that its rows divide by."""
GROUPS = 96
"""At most so many losses are measured; each reads the text once."""
TOKENS = 1024
WINDOW = 256
FILE_TYPES = {
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_1": "Q5_1",
    "Q5_K": "Q5_K_S",
    "Q5_0": "Q5_0",
    "Q4_1": "Q4_1",
    "Q4_K": "Q4_K_S",
    "Q4_0": "Q4_0",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q3_K": "Q3_K_S",
    "IQ3_S": "IQ3_S",
    "IQ3_XXS": "IQ3_XXS",
    "Q2_K": "Q2_K",
    "IQ2_S": "IQ2_M",
    "IQ2_XS": "IQ2_XS",
    "IQ2_XXS": "IQ2_XXS",
}
"""What a file is called in its header, by the type that most of its bytes have."""
MB = 1_000_000
MEASURING_COPIES = 1.6


class TensorCosts(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor, and what it costs in each type."""

    name: str
    weights: int
    options: list[Option]


class Sensitivities(msgspec.Struct, frozen=True, kw_only=True):
    """As the program writes them. `fixed_bytes`: the header, and tensors that stay as they are."""

    fixed_bytes: int
    groups: int
    tensors: list[TensorCosts]

    @property
    def options(self) -> dict[str, list[Option]]:
        return {tensor.name: tensor.options for tensor in self.tensors}


class MixPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which type each tensor gets, what the file is called, and why."""

    types: dict[str, str]
    file_type: str
    mixture: Mixture


class Mixer:
    """The mixes of one 16-bit GGUF file, from one calibration text."""

    def __init__(
        self,
        task: QuantizeTask,
        *,
        stem: str,
        text: Path,
        env: Env,
    ) -> None:
        self._task = task
        self._stem = stem
        self._text = text
        self._env = env
        self._known: Sensitivities | None = None

    @property
    def room_bytes(self) -> int:
        """Of the whole file."""
        assert self._task.recipe.fit_bytes is not None
        return self._task.recipe.fit_bytes

    def disk_bytes(self, base: Path) -> float:
        """For the file, and while it is measured a copy of the base and one at eight bits."""
        return self.room_bytes + MEASURING_COPIES * size_of_files(base)

    def is_measured(self, conversion: Conversion) -> bool:
        if self._known is None and kept_conversion(conversion, progress=self._task.progress):
            self._known = _read(conversion.target)
        return self._known is not None

    def plan(self, conversion: Conversion) -> MixPlan:
        """Measures first if need be. Raises: UsageError for a size that nothing fits."""
        if not self.is_measured(conversion):
            convert(conversion, progress=self._task.progress)
            _measured_lines(conversion.key).unlink(missing_ok=True)
            self._known = _read(conversion.target)
        assert self._known is not None
        return plan_of(self._known, self.room_bytes)

    def measuring(
        self,
        base: Path,
        base_key: str,
        *,
        matrix: Path | None,
        matrix_key: object,
    ) -> Conversion:
        """The job that finds what each tensor costs, and all that its answer depends on."""
        settings = {
            "types": TYPES,
            "probes": PROBES,
            "groups": GROUPS,
            "tokens": TOKENS,
            "window": WINDOW,
        }
        text_digest = digest_file(self._text)
        key = cache_key(
            "sensitivity",
            base_key,
            matrix_key,
            text_digest,
            settings,
            program=PROGRAM,
            env=self._env,
        )
        return Conversion(
            name="sensitivity",
            program=PROGRAM,
            env=self._env,
            target=self._task.folder / f"{self._stem}-sensitivity-{short(key)}",
            key=key,
            input={
                **settings,
                "model": str(base),
                "text": str(self._text),
                "imatrix": str(matrix) if matrix else None,
                "threads": self._task.threads,
                "measured": str(_measured_lines(key)),
            },
            source=self._task.source,
        )


def plan_of(known: Sensitivities, room_bytes: int) -> MixPlan:
    """The best mix of a file of this size. Raises: UsageError if there is none."""
    options = known.options
    found = allocate(options, room_bytes - known.fixed_bytes)
    if found is None:
        smallest = known.fixed_bytes + size_of(smallest_choice(options))
        needed = -(-smallest // MB)
        raise UsageError(
            f"no mix fits {room_bytes / MB:,.2f} MB: the smallest file is {smallest:,} bytes",
            hint=f"--fit {needed}MB",
        )
    types = {name: option.type for name, option in found.chosen.items()}
    file_type = _file_type(found)
    if file_type is None:
        raise UsageError(
            f"the model as it is fits {room_bytes / MB:,.2f} MB: there is nothing to quantize",
            hint="a smaller --fit",
        )
    return MixPlan(
        types=types,
        file_type=file_type,
        mixture=mixture_of(
            options,
            found,
            room_bytes=room_bytes,
            fixed_bytes=known.fixed_bytes,
            groups=known.groups,
        ),
    )


def require_fits(size_bytes: int, room_bytes: int) -> None:
    """Raises: EngineFailed, as the size of what llama.cpp made was known beforehand."""
    if size_bytes > room_bytes:
        raise EngineFailed(
            f"llama.cpp made {size_bytes:,} bytes of a mix for {room_bytes:,}",
            hint="report it, with the model's name",
        )


def _file_type(found: Allocation) -> str | None:
    """The name that the quantized type with the most bytes has; None without any."""
    sizes: dict[str, int] = {}
    for option in found.chosen.values():
        if option.type in FILE_TYPES:
            sizes[option.type] = sizes.get(option.type, 0) + option.size_bytes
    if not sizes:
        return None
    most = max(sizes, key=lambda name: sizes[name])
    return FILE_TYPES[most]


def _measured_lines(key: str) -> Path:
    """What was measured before the program was stopped; it goes on from there."""
    folder = cache_dir() / "sensitivity"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{short(key)}.jsonl"


def _read(folder: Path) -> Sensitivities:
    raw = (folder / FILE).read_bytes()
    return msgspec.json.decode(raw, type=Sensitivities)
