"""Run folders: the one way in which every command keeps what it measured."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from llmops_cli.core.calls import call, pasted
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.report import Report, decode_report
from llmops_cli.runtime.files import (
    cannot_write,
    make_folder,
    require_folder,
    to_json,
    write_atomic,
)
from llmops_cli.runtime.near_path import near_path

REPORT = "report.json"
BESIDE_A_MODEL = "train-report.json"
"""In the folder of a trained model: the report of the run that made it."""
RESULTS = Path("results")
MOST_SLUG_CHARS = 60
MOST_OF_A_SECOND = 1000
"""Runs that may begin in the same second under the same name."""


class RunFolder:
    """One run's folder. It is made on first use, so what fails before leaves nothing behind."""

    def __init__(
        self,
        command: str,
        slug: str,
        *,
        chosen: Path | None = None,
    ) -> None:
        self._command = command
        self._slug = slug
        self._chosen = chosen
        self._path: Path | None = None
        self._made_around: list[Path] = []

    def require_unused(
        self, *, hint: str = "choose another -o, or remove it", outcomes: str | None = None
    ) -> None:
        """`outcomes`: the file by which a run of this command goes on with --resume.

        Raises: UsageError if the folder that the user chose holds a run already, of any command;
        EnvironmentMissing if none can be made.
        """
        if self._chosen is None:
            _require_results(RESULTS)
            require_folder(RESULTS)
            return
        report = self._chosen / REPORT
        if outcomes is not None and (self._chosen / outcomes).exists():
            report = self._chosen / outcomes
            hint = f"--resume {pasted(self._chosen)}, or choose another -o"
        if report.exists():
            raise UsageError(f"{self._chosen} holds a run already", hint=hint)
        require_folder(self._chosen)

    @property
    def path(self) -> Path:
        """The folder, there. Raises: EnvironmentMissing if it cannot be made."""
        if self._path is None:
            self._path = self._made()
        return self._path

    def write_report(self, report: Report) -> Path:
        """Saves it whole or not at all; where it is."""
        target = self.path / REPORT
        write_atomic(target, to_json(report))
        return target

    def forget_if_empty(self) -> None:
        """Removes a folder in which nothing came to be, and those around it that it made."""
        if self._path is None:
            return
        with suppress(OSError):
            self._path.rmdir()
            for folder in self._made_around:
                folder.rmdir()

    def _made(self) -> Path:
        wanted = self._chosen or RESULTS / "run"
        self._made_around = [folder for folder in wanted.parents if not folder.exists()]
        if self._chosen is None:
            return make_run_dir(self._command, self._slug)
        make_folder(self._chosen)
        return self._chosen


def make_run_dir(
    command: str,
    slug: str,
    *,
    base: Path | None = None,
) -> Path:
    """A new folder <base>/<utc>-<command>-<slug>; `base` is ./results."""
    base = base or RESULTS
    _require_results(base)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{command}-{_safe(slug)}"
    for attempt in range(1, MOST_OF_A_SECOND):
        path = base / name
        if attempt > 1:
            path = base / f"{name}-{attempt}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(path, error) from error
        return path
    raise EnvironmentMissing(f"cannot find a free name for {base / name}")


def _require_results(base: Path) -> None:
    if base.is_symlink() and not base.exists():
        raise EnvironmentMissing(
            f"{base} is a link to {base.readlink()}, which is not there",
            hint="make that folder, or remove the link",
        )
    if base.exists() and not base.is_dir():
        raise EnvironmentMissing(
            f"{base} is no folder", hint="runs are kept there: move that file away"
        )


def _safe(slug: str) -> str:
    """As a part of a folder's name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", slug)
    short = plain.strip("-")[:MOST_SLUG_CHARS]
    return short or "run"


def load_report(path: Path) -> Report:
    """The report at `path`, at `path`/report.json, or that of the model that lies there.

    Raises: UsageError for none, or one that cannot be read.
    """
    given = path
    if given.is_dir():
        path = _report_in(given)
    try:
        return decode_report(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        listed = call("report", "list", *_with_runs(path.parent))
        hint = f"{listed} says which runs there are"
        if path is given:
            hint = near_path(path, hint)
        elif _holds_models(given):
            hint = f"models lie there; the run that made them is among those of {listed}"
        raise UsageError(f"no report at {path}", hint=hint) from None
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from error


def _with_runs(folder: Path) -> list[Path]:
    """The folder, where runs lie in it, as those of a recipe of steps that was broken off."""
    return [folder] if any(folder.glob(f"*/{REPORT}")) else []


def _holds_models(folder: Path) -> bool:
    """What quantize and convert make, whose runs are kept elsewhere."""
    places = ("*.gguf", "llmops.json", "*/llmops.json")
    return any(any(folder.glob(place)) for place in places)


def _report_in(folder: Path) -> Path:
    beside = folder / BESIDE_A_MODEL
    if not (folder / REPORT).exists() and beside.exists():
        return beside
    return folder / REPORT
