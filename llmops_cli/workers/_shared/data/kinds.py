"""What kind of data a file holds: by its name, and where that does not tell, by its first bytes."""

from pathlib import Path

from _shared.protocol import JobError
from _shared.rows import (
    BLANK,
    BOM,
    OPENERS,
    UNPACKING_ERRORS,
    UTF16_MARKS,
    open_unpacked,
    unpacking_failed,
)

JSONL = "jsonl"
JSON = "json"
TEXT = "text"
PARQUET = "parquet"
ARROW = "arrow"

KINDS = {
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".txt": TEXT,
    ".text": TEXT,
    ".md": TEXT,
    ".parquet": PARQUET,
    ".arrow": ARROW,
}
REFUSED = {
    ".csv": "convert it to JSONL or Parquet",
    ".tsv": "convert it to JSONL or Parquet",
    ".zst": "unpack it: gz, bz2 and xz are read as they are",
    ".zip": "unpack it: gz, bz2 and xz are read as they are",
    ".tar": "unpack it: gz, bz2 and xz are read as they are",
    ".bin": "texts are read, not tokens",
    ".npy": "texts are read, not tokens",
}
KNOWN = "JSONL, JSON, text, Parquet, each also .gz, or a folder of a Hugging Face data set"
BEGINNING_BYTES = 4096


def kind_of(path: Path) -> str:
    """Raises: JobError for a kind that is not read."""
    name = path
    if path.suffix.lower() in OPENERS:
        name = path.with_suffix("")
    suffix = name.suffix.lower()
    if suffix in REFUSED:
        raise JobError("UsageError", f"{path}: {suffix} is not read", REFUSED[suffix])
    if suffix in KINDS:
        return KINDS[suffix]
    beginning = _beginning(path)
    if beginning.startswith(b"PAR1"):
        return PARQUET
    if suffix == ".json" and beginning.startswith(b"["):
        return JSON
    if suffix == ".json" or beginning.startswith(b"{"):
        return JSONL
    if b"\0" in beginning and not beginning.startswith(UTF16_MARKS):
        raise JobError("UsageError", f"{path} is neither text nor a known kind of data", KNOWN)
    return TEXT


def _beginning(path: Path) -> bytes:
    try:
        with open_unpacked(path) as file:
            return file.read(BEGINNING_BYTES).removeprefix(BOM).lstrip(BLANK)
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None
