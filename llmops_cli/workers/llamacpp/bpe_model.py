"""Whether the model of a tokenizer.json is one: a number for each piece, and pairs that merge."""

from pathlib import Path

from _shared.protocol import JobError
from llamacpp.tokenizer_files import Json

REPAIR = "download it again"


def check_bpe(model: Json, path: Path) -> None:
    """Raises: JobError for pieces without a number of their own, or merges of another form."""
    vocabulary = model.get("vocab")
    merges = model.get("merges")
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise JobError("UsageError", f"{path}: its BPE has no pieces, or no merges", REPAIR)
    _check_numbers(vocabulary, path)
    for merge in merges:
        if not _is_merge(merge):
            message = f"{path}: a merge is {merge!r:.60}, not two pieces"
            raise JobError("UsageError", message, REPAIR)


def _check_numbers(vocabulary: Json, path: Path) -> None:
    owners: dict[int, str] = {}
    for piece, number in vocabulary.items():
        if type(number) is not int or number < 0:
            message = f"{path}: the number of piece {piece!r:.60} is {number!r:.60}"
            raise JobError("UsageError", message, REPAIR)
        if number in owners:
            message = f"{path}: pieces {owners[number]!r:.60} and {piece!r:.60} are both {number}"
            raise JobError("UsageError", message, "llama.cpp has one text for each number")
        owners[number] = piece


def _is_merge(merge: object) -> bool:
    if isinstance(merge, str):
        return " " in merge
    return isinstance(merge, list) and len(merge) == 2 and all(type(each) is str for each in merge)
