"""What a recipe's field is beside its type: bounds that fields share, and what a user is told.

A field is said once. `Annotated[Positive, Flag(help="...")] = 4` is its type, its check, its flag,
its line of help and its row in the reference; flags are made from it by `cli.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from llmops_cli.core.grammar import read_share

Positive = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
PositiveNumber = Annotated[float, msgspec.Meta(gt=0, le=1e7)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
FiniteAmount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""A price or a temperature; infinity is none."""
PART_OF_ONE = msgspec.Meta(ge=0, le=1)
Share = Annotated[float, PART_OF_ONE]
"""Text may have it as 3% too."""
Rate = Annotated[float, msgspec.Meta(gt=0, le=1e5)]
Streams = Annotated[int, msgspec.Meta(ge=1, le=20_000)]

NONE = type(None)


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a field.

    `default` stands in the help where the struct's own default is not what happens. `names` replace
    the flag made of the field's name (`--on/--off` for a switch). `read` makes the field's value of
    text, for fields with a grammar of their own. `argument`: it stands without a flag. `group`: the
    heading in the help that it stands below.
    """

    help: str
    default: str | None = None
    names: tuple[str, ...] = ()
    read: Callable[[Any], object] | None = None  # Any: text, or a list of texts
    repeat: bool = False
    argument: bool = False
    hidden: bool = False
    example: str = ""
    group: str = ""


@cache
def hints_of(kind: type[msgspec.Struct]) -> Mapping[str, Any]:  # Any: annotations
    """With what Annotated says; they are asked for at several places of one run."""
    return get_type_hints(kind, include_extras=True)


def flags_of(kind: type[msgspec.Struct]) -> dict[str, Flag]:
    """The fields that have a flag, in the order of the struct."""
    hints = hints_of(kind)
    found = {}
    for field in msgspec.structs.fields(kind):
        flag = flag_of(hints[field.name])
        if flag is not None:
            found[field.name] = flag
    return found


def spelling_of(name: str, flag: Flag) -> str:
    """How the command line calls the field; of a switch, how it is turned on."""
    if flag.argument:
        return name.upper()
    if flag.names:
        return flag.names[0].partition("/")[0]
    return f"--{name.replace('_', '-')}"


def reader_of(hint: object) -> Callable[[Any], object] | None:
    """What makes the field's value of text; a share has one without saying so."""
    flag = flag_of(hint)
    if flag is not None and flag.read is not None:
        return flag.read
    if is_share(hint):
        return read_share
    return None


def is_share(hint: object) -> bool:
    """Whether it is a Share, or one that may be missing."""
    if PART_OF_ONE in getattr(hint, "__metadata__", ()):
        return True
    if get_origin(hint) is Annotated:
        return is_share(get_args(hint)[0])
    members = get_args(hint)
    return NONE in members and any(is_share(member) for member in members)


def flag_of(hint: object) -> Flag | None:
    """The Flag in an annotation, however deep its Annotated are nested."""
    if get_origin(hint) is not Annotated:
        return None
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Flag):
            return extra
    return flag_of(get_args(hint)[0])


def plain_type(hint: object) -> object:
    """The annotation without Annotated and without None."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    members = list(get_args(hint))
    if len(members) != 2 or NONE not in members:
        return hint
    members.remove(NONE)
    return plain_type(members[0])


def is_list(hint: object) -> bool:
    plain = plain_type(hint)
    return (get_origin(plain) or plain) in (list, tuple)


def choices_of(hint: object) -> list[str]:
    """The values of a field that has a fixed set of them."""
    plain = plain_type(hint)
    if get_origin(plain) is not Literal:
        return []
    return [str(value) for value in get_args(plain)]
