"""What a run has measured so far: on disk after each repetition, and as levels."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.files import finish
from llmops_cli.bench.report import BenchReport, Conclusion, Level
from llmops_cli.bench.spools import Book, Repeat, Spools, level_of, levels_of
from llmops_cli.runtime.files import cannot_write


class MeasuredLevels:
    """The levels of a run under way, each from its spools when somebody asks."""

    def __init__(
        self,
        folder: Path,
        *,
        slo: str | None,
        max_error_rate: float | None = None,
        usd_per_hour: float | None = None,
    ) -> None:
        """Raises: EnvironmentMissing for a folder that cannot be written, or is another run's."""
        self._folder = _made(folder)
        self.spools = Spools(self._folder)
        self.book = Book(slo=slo, max_error_rate=max_error_rate, usd_per_hour=usd_per_hour)
        self.conclusion: Conclusion | None = None
        self._levels: dict[int, Level] = {}

    def remember(self) -> None:
        """Writes down what is known besides the records."""
        self.spools.remember(self.book)

    def expect(self, loads: list[Load]) -> None:
        """The levels to come."""
        self.book.loads = loads
        self.book.repeats = [[] for _ in loads]

    def add_load(self, load: Load) -> int:
        """One more level; its number."""
        self.book.loads.append(load)
        self.book.repeats.append([])
        return len(self.book.loads) - 1

    def begin_repeat(self, number: int) -> Repeat:
        repeat = Repeat()
        self.book.repeats[number].append(repeat)
        self._levels.pop(number, None)
        self.remember()
        return repeat

    def level(self, number: int) -> Level:
        if number not in self._levels:
            spools = self.spools.folder
            level = level_of(spools, self.book, number)
            self._levels[number] = level
        return self._levels[number]

    def known(self) -> list[Level]:
        """The levels that have begun."""
        begun = [number for number, runs in enumerate(self.book.repeats) if runs]
        return [self.level(number) for number in begun]

    def all_levels(self) -> list[Level]:
        """Every level with at least one record, also one that broke off."""
        known = len(self._levels)
        if known == len(self.book.loads):
            return self.known()
        return levels_of(self.spools.folder, self.book)

    def give_up(self) -> None:
        """Nothing was measured, so nothing is kept but logs."""
        self.spools.remove()

    def finish(self, report: BenchReport, *, form: str) -> None:
        finish(report, self.spools, self.book, self._folder, form=form)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder
