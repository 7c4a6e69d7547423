"""Which importance matrix a GGUF type is quantized with: none, the user's, or one computed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.spec import Env
from llmops_cli.models.convert import (
    FLOAT_SCHEMES,
    Conversion,
    convert,
    quantized_dir,
    short,
)
from llmops_cli.models.converter import is_left_to_official
from llmops_cli.models.provenance import Made, record_beside
from llmops_cli.quantize.gguf import NEEDS_IMATRIX, wants_imatrix
from llmops_cli.quantize.matrix_file import check_matrix_file
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.runtime.closure import cache_key, code_digest
from llmops_cli.runtime.contents import read_state
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import at_home

NONE = "none"
AUTO = "auto"
TOKENS = 32768
PROGRAM = "hf.imatrix"
ENVIRONMENT = "train"


def own_matrix(wish: str) -> Path | None:
    """The user's own file; None where there is none, or it is computed.

    Raises: UsageError for one that is not there, or is no matrix.
    """
    if wish in (AUTO, NONE):
        return None
    path = at_home(wish)
    if not path.is_file():
        raise UsageError(
            f"--imatrix: no file at {path}", hint=near_path(path, f"a file, {AUTO} or {NONE}")
        )
    check_matrix_file(path)
    return path


class ImportanceMatrix:
    """The matrix of one source model; `text` is what it is computed from."""

    def __init__(
        self,
        task: QuantizeTask,
        *,
        stem: str,
        text: Path,
    ) -> None:
        wish = task.recipe.imatrix
        self._task = task
        self._source = task.source
        self._recipe = task.recipe
        self._progress = task.progress
        self._stem = stem
        self._text = text
        self._own = own_matrix(wish)
        if task.recipe.calibration == "generated":
            raise UsageError(
                "the importance matrix reads a text", hint="--calibration builtin, or a file"
            )

    def key(self, scheme: str) -> object:
        """What of it decides the file of this type."""
        if scheme in FLOAT_SCHEMES:
            return NONE
        if self._own is not None:
            return digest_file(self._own)
        if self._recipe.imatrix == NONE or not wants_imatrix(scheme):
            return NONE
        return [AUTO, digest_file(self._text), code_digest(PROGRAM)]

    def key_used(self, scheme: str) -> object:
        """The same, of a matrix that there can be here."""
        if self._own is None and not self.is_computable(scheme):
            return NONE
        return self.key(scheme)

    def is_computable(self, scheme: str) -> bool:
        """Whether one is wanted and can be computed here."""
        if self._own is not None or self._recipe.imatrix == NONE:
            return False
        if not wants_imatrix(scheme) or self._reason_against():
            return False
        try:
            find_env(ENVIRONMENT)
        except EnvironmentMissing:
            return False
        return True

    def is_computed_for(self, scheme: str) -> bool:
        """Whether one is wanted, whatever is installed."""
        is_auto = self._recipe.imatrix == AUTO
        return is_auto and wants_imatrix(scheme) and not self._reason_against()

    def file_for(self, scheme: str) -> Path | None:
        """The matrix to quantize with, computed now if need be; None: without.

        Raises: UsageError or EnvironmentMissing for a type that is nothing without one.
        """
        if scheme in FLOAT_SCHEMES:
            return None
        if self._own is not None:
            return self._own
        if self._recipe.imatrix == NONE:
            if scheme in NEEDS_IMATRIX:
                raise UsageError(
                    f"{scheme} needs an importance matrix", hint="--imatrix auto, or a file"
                )
            return None
        if not wants_imatrix(scheme):
            return None
        return self._computed_or_told(scheme)

    def facts(self, matrix: Path | None) -> dict[str, Any] | None:  # Any: the program's own figures
        """What a matrix of ours was computed from."""
        if matrix is None or matrix == self._own:
            return None
        made = read_state(record_beside(matrix), Made, progress=self._progress)
        if made is None:
            return None
        return made.calibration

    def _computed_or_told(self, scheme: str) -> Path | None:
        reason = self._reason_against()
        if not reason:
            try:
                return self._computed(find_env(ENVIRONMENT))
            except EnvironmentMissing as error:
                reason = error.message
        if scheme in NEEDS_IMATRIX:
            raise EnvironmentMissing(
                f"{scheme} needs an importance matrix: {reason}", hint="--imatrix FILE"
            )
        self._progress.warn(f"{scheme} without importance matrix: {reason}")
        return None

    def _reason_against(self) -> str:
        """Why none can be computed for this model, whatever is installed; empty if it can."""
        if self._source.format != "hf":
            return "an importance matrix can only be computed from a Hugging Face folder"
        if is_left_to_official(self._source):
            return "none can be computed for an architecture that llama.cpp's own converter writes"
        return ""

    def _computed(self, env: Env) -> Path:
        task = self._task
        text_digest = digest_file(self._text)
        key = cache_key(
            "imatrix", task.source.digest, text_digest, TOKENS, program=PROGRAM, env=env
        )
        conversion = Conversion(
            name="imatrix",
            program=PROGRAM,
            env=env,
            # not in the folder of one run: another one then waits for it
            target=quantized_dir(task.source) / f"{self._stem}-imatrix-{short(key)}.gguf",
            key=key,
            input={
                "model": str(task.source_path),
                "text": str(self._text),
                "tokens": TOKENS,
                "threads": task.threads,
            },
            source=task.source,
            variables={"HF_HUB_OFFLINE": "1"},
        )
        convert(conversion, progress=task.progress)
        return conversion.target
