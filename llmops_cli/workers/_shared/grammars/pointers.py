"""Where a `$ref` leads within its own schema."""

from typing import Any
from urllib.parse import unquote

from _shared.grammars.nodes import GrammarError

# Any: on its way a pointer passes values of every kind.


def resolve(whole: Any, pointer: str) -> Any:
    """A schema. Raises: GrammarError if there is none."""
    path = pointer[1:]
    is_local = pointer.startswith("#") and (not path or path.startswith("/"))
    if not is_local:
        raise GrammarError(f"$ref: {pointer!r} is not a place in this schema (#/...)")
    here = whole
    for step in path.split("/")[1:]:
        here = below(here, unquote(step).replace("~1", "/").replace("~0", "~"), pointer)
    if not isinstance(here, dict | bool):
        raise GrammarError(f"$ref: at {pointer!r} there is no schema")
    return here


def below(here: Any, step: str, pointer: str) -> Any:
    if isinstance(here, dict) and step in here:
        return here[step]
    if isinstance(here, list) and step.isdecimal() and int(step) < len(here):
        return here[int(step)]
    raise GrammarError(f"$ref: {pointer!r} is not in this schema")
