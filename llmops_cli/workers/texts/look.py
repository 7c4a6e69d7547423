"""Whether files of text can be read as calibration and quality read them, before any work.

A Parquet or Arrow file is left to the program that has its reader.
"""

from pathlib import Path

from _shared.data.kinds import JSON, JSONL, TEXT, kind_of
from _shared.documents import rows_of
from _shared.protocol import Events, JobError, Json, run_worker

READ_HERE = (JSON, JSONL, TEXT)


def work(job: Json, _events: Events) -> Json:
    """Raises: JobError naming the line that cannot be read, or a file without a text."""
    return {"documents": [count_documents(Path(path)) for path in job["texts"]]}


def count_documents(path: Path) -> int | None:
    """None for a file that is not looked into."""
    try:
        if kind_of(path) not in READ_HERE:
            return None
        count = sum(1 for row in rows_of(path) if _says_something(row))
    except OSError as error:
        raise JobError("UsageError", f"{path} cannot be read: {error.strerror}") from error
    if not count:
        raise JobError("UsageError", f"{path} holds no text", "a text, or lines of JSON with one")
    return count


def _says_something(row: object) -> bool:
    return not isinstance(row, str) or bool(row.strip())


if __name__ == "__main__":
    run_worker(work)
