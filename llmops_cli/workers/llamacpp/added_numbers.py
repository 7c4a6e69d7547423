"""Which number Transformers gives an added token: what tokenizer.json says of it decides nothing.

Source: tokenizers 0.23, added_vocabulary.rs, add_tokens.
"""

from collections.abc import Mapping
from pathlib import Path

from _shared.protocol import JobError
from llamacpp.tokenizer_files import Json

HINT = (
    "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes the numbers that "
    "Transformers uses"
)


def check_numbers(tokenizer: Json, path: Path) -> None:
    """Raises: JobError for an added token that would get another number than the file says."""
    pieces: dict[str, int] = tokenizer["model"]["vocab"]
    given: dict[str, int] = {}
    for entry in tokenizer.get("added_tokens") or []:
        text = entry["content"]
        if not text:
            continue
        number = number_of(text, pieces, given)
        if number != entry["id"]:
            raise other_number(text, entry["id"], number, pieces, path)
        given[text] = number


def number_of(
    text: str,
    pieces: Mapping[str, int],
    given: Mapping[str, int],
) -> int:
    """A text that is known keeps its number; another gets the next one."""
    for known in (given, pieces):
        if text in known:
            return known[text]
    highest = max(given.values(), default=-1)
    return max(len(pieces), highest + 1)


def other_number(
    text: str,
    told: int,
    number: int,
    pieces: Mapping[str, int],
    path: Path,
) -> JobError:
    owner = next((piece for piece, place in pieces.items() if place == told), None)
    whose = "" if owner in (None, text) else f", which is piece {owner!r:.60}"
    message = f"{path}: added token {text!r:.60} is said to be {told}{whose}; Transformers"
    return JobError("UsageError", f"{message} makes it {number}", HINT)
