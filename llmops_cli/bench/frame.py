"""A saved run's requests for a notebook: `records("results/...")`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_cli.core.errors import EnvironmentMissing, UsageError

if TYPE_CHECKING:
    from pandas import DataFrame


def records(run: Path | str) -> DataFrame:
    """A row a request, with the columns of docs/METRICS.md.

    `level` joins them with the rows of report.csv. Raises: UsageError for a folder without them;
    EnvironmentMissing without pandas, or without pyarrow where they are Parquet.
    """
    try:
        import pandas
    except ImportError:
        raise EnvironmentMissing(
            "a DataFrame needs pandas", hint="pip install 'llmops-cli[pandas]'"
        ) from None
    folder = Path(run)
    table = folder / "records.csv"
    if table.is_file():
        return pandas.read_csv(table)
    parquet = folder / "records.parquet"
    if not parquet.is_file():
        raise UsageError(f"no requests of a run in {folder}", hint="the folder of a bench run")
    try:
        return pandas.read_parquet(parquet)
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
