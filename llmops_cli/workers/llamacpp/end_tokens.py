"""The tokens that end an answer, under the keys that a GGUF file has for them.

llama.cpp ends at the EOS, EOT and EOM of a file, and at tokens with texts that it knows.
Source: llama.cpp, src/llama-vocab.cpp, special_eog_ids.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from llamacpp.notices import END_LEFT_OUT, Notice
from llamacpp.taken_as_special import ENDS
from llamacpp.tokenizer_files import read_if_there

EOS = "eos"
MORE = ("eot", "eom")
"""The keys of a second and a third end, as gguf's writer calls them."""
KEYS = (EOS, *MORE)


class NamedEnds(NamedTuple):
    """`keys`: those that are to be added. `notice`: of ends that no key is left for."""

    keys: dict[str, int]
    notice: Notice | None = None


def end_tokens(folder: Path) -> list[int]:
    """Where Transformers ends an answer: generation_config.json says it, else config.json."""
    config = read_if_there(folder / "config.json")
    places = [
        read_if_there(folder / "generation_config.json"),
        config,
        config.get("text_config"),
    ]
    for place in places:
        told = place.get("eos_token_id") if isinstance(place, dict) else None
        if told is not None:
            return _numbers(told)
    return []


def _numbers(told: object) -> list[int]:
    """One or several; what is no number of a token is never drawn."""
    listed = told if isinstance(told, list) else [told]
    return [number for number in listed if type(number) is int and number >= 0]


def named_ends(
    ends: Iterable[int],
    has: dict[str, int],
    texts: Sequence[str],
) -> NamedEnds:
    """Keys for all `ends` that the file has none for yet.

    `has`: the keys that it has; `texts`: its tokens by number. Where keys do not suffice, ends
    that llama.cpp knows by their texts go without.
    """
    keys: dict[str, int] = {}
    inside = [number for number in dict.fromkeys(ends) if number < len(texts)]
    if inside and EOS not in has:
        keys[EOS] = inside[0]
    told = {number for name, number in {**has, **keys}.items() if name in KEYS}
    left = [number for number in inside if number not in told]
    left.sort(key=lambda number: texts[number] in ENDS)
    free = [name for name in MORE if name not in has]
    keys.update(zip(free, left, strict=False))
    unknown = [texts[number] for number in left[len(free) :] if texts[number] not in ENDS]
    if not unknown:
        return NamedEnds(keys)
    names = ", ".join(repr(text) for text in unknown[:3])
    text = f"a GGUF file names three tokens that end an answer; it goes on after {names}"
    return NamedEnds(keys, Notice(END_LEFT_OUT, text))
