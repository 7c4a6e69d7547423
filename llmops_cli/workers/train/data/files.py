"""What lies at a path that a user gave: which files, of which kind, in which split."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _shared.data.kinds import KINDS, KNOWN, kind_of
from _shared.protocol import JobError
from _shared.rows import OPENERS

TRAIN = "train"
VALIDATION = "validation"
SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""The words for splits in names of files and folders, as Hugging Face's hub reads them."""


class File(NamedTuple):
    """One file with rows."""

    path: Path
    kind: str


Splits = dict[str, list[File]]


def files_at(path: Path) -> Splits:
    """Files by split; a single file is all of `train`. `FOLDER:SPLIT` takes that one alone.

    Raises: JobError for a path without data.
    """
    if path.is_file():
        return {TRAIN: [File(path, kind_of(path))]}
    if path.is_dir():
        return _splits_in(path)
    folder, colon, split = str(path).rpartition(":")
    if colon and Path(folder).is_dir():
        found = _splits_in(Path(folder))
        if split in found:
            return {TRAIN: found[split]}
        raise JobError("UsageError", f"{folder} has no split {split}", f"it has {_names(found)}")
    raise JobError("UsageError", f"no training data at {path}", KNOWN)


def _splits_in(folder: Path) -> Splits:
    """`datasets.save_to_disk` writes one folder a split; others name their files after splits."""
    if (folder / "state.json").is_file():
        return {TRAIN: _all_in(folder, ["*.arrow"])}
    splits: Splits = {}
    for file in _all_in(folder, ["*"]):
        split = _split_of(file.path.relative_to(folder))
        splits.setdefault(split, []).append(file)
    if not splits:
        raise JobError("UsageError", f"{folder} holds no data", KNOWN)
    if TRAIN not in splits:
        one = next(iter(splits))
        hint = f"name one: --data {folder}:{one}"
        raise JobError("UsageError", f"{folder} has no split train, but {_names(splits)}", hint)
    return splits


def _all_in(folder: Path, patterns: Sequence[str]) -> list[File]:
    """In the order of their names. What is hidden, or no data at all, is left out."""
    found = []
    paths = sorted(path for pattern in patterns for path in folder.rglob(pattern))
    for path in paths:
        inside = path.relative_to(folder)
        is_hidden = any(part.startswith((".", "_")) for part in inside.parts)
        if not path.is_file() or is_hidden or not _holds_rows(path):
            continue
        found.append(File(path, kind_of(path)))
    return found


def _holds_rows(path: Path) -> bool:
    """A README or dataset_info.json beside the data is none."""
    name = path.name.removesuffix(path.suffix) if path.suffix.lower() in OPENERS else path.name
    if name.startswith("cache-"):
        return False
    suffix = Path(name).suffix.lower()
    if suffix == ".json":
        return not name.startswith(("dataset_", "state", "info"))
    return suffix in KINDS and suffix != ".md"


def _split_of(inside: Path) -> str:
    """By a word in the name of the file, or of a folder on the way; without one: train.

    A name like test_sft is a split of its own; train_sft-00001-of-00008 belongs to train_sft.
    """
    for part in reversed(inside.parts):
        name = part.split(".")[0].lower().split("-")[0]
        if name in SPLITS:
            return SPLITS[name]
        if name.split("_")[0] in SPLITS:
            return name
    return TRAIN


def _names(splits: Splits) -> str:
    return ", ".join(splits)
