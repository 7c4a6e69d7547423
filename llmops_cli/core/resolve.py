"""One frozen struct per command, resolved once from defaults < file < environment < flags.

The struct holds the defaults, the checks and the help (core.fields); `resolve` tells where each
value came from. A struct may settle what its fields mean together with a static method
`settle(values, origins)`, which sees what was given before it is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import (
    Any,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name, unknown_name
from llmops_cli.core.fields import choices_of, hints_of, is_list, is_share, plain_type, reader_of
from llmops_cli.core.grammar import Unreadable
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.said import refuse_empty_flags, said_of, strangers_in, variable_of

RecipeT = TypeVar("RecipeT", bound=msgspec.Struct)
Values = dict[str, object]
Origins = dict[str, str]


class Resolved(msgspec.Struct, Generic[RecipeT], frozen=True, kw_only=True):
    """`origins`: per field default, file, report, env or flag.

    `warnings`: what should be written anew.
    """

    recipe: RecipeT
    origins: Origins
    warnings: tuple[str, ...] = ()


class Settles(Protocol):
    """A recipe whose fields depend on one another."""

    @staticmethod
    def settle(values: Values, origins: Origins) -> None: ...


def resolve(
    kind: type[RecipeT],
    *,
    command: str,
    file: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    old_names: bool = True,
    saved_defaults: Collection[str] | None = None,
) -> Resolved[RecipeT]:
    """The recipe of a command, checked.

    `environ` is read for LLMOPS_<COMMAND>_<FIELD>; a flag that is None was not given.
    `old_names`: LLMOPS_<FIELD> too, as the command had it before. `saved_defaults`: `file` is a
    saved report's, and nobody had asked for these fields in its run.
    Raises: UsageError naming the field, its origin and a did-you-mean for unknown ones.
    """
    fields = msgspec.structs.fields(kind)
    names = [field.name for field in fields]
    settings = _settings(command, names, environ or {}, old_names=old_names)
    sources: dict[str, Values] = {
        "default": dict.fromkeys(names),
        "file": _known(file or {}, names),
        "env": {name: setting.text for name, setting in settings.items()},
        "flag": _asked(flags or {}),
    }
    values, origins = _layered(sources)
    if saved_defaults is not None:
        _mark_saved(origins, saved_defaults)
    if hasattr(kind, "settle"):
        settles = cast(Settles, kind)
        settles.settle(values, origins)
    said = said_of(kind, values, origins, command=command)
    refuse_empty_flags(kind, values, origins, said)
    prepared = _checked(kind, values, said)
    recipe = msgspec.convert(prepared, kind, strict=False)
    warnings = [setting.warning for setting in settings.values() if setting.warning]
    warnings += strangers_in(environ or {}, command=command, names=names)
    return Resolved(recipe=recipe, origins=origins, warnings=tuple(warnings))


def _mark_saved(origins: Origins, saved_defaults: Collection[str]) -> None:
    """What a report says was the wish of its own run, or of nobody."""
    for name, origin in origins.items():
        if origin == "file":
            origins[name] = "default" if name in saved_defaults else "report"


def _layered(sources: Mapping[str, Values]) -> tuple[Values, Origins]:
    """The values that were given, with where each is from; a later source wins."""
    values: Values = {}
    origins: Origins = {}
    for origin, given in sources.items():
        origins |= dict.fromkeys(given, origin)
        if origin != "default":
            values |= given
    return values, origins


def _known(file: Mapping[str, object], names: list[str]) -> Values:
    """Raises: UsageError for a field that the recipe does not have."""
    for key in file:
        if key not in names:
            raise unknown_name("recipe field", key, names)
    return dict(file)


def _asked(flags: Mapping[str, object]) -> Values:
    """Those that were given."""
    return {name: value for name, value in flags.items() if value is not None}


class _Setting(NamedTuple):
    """What the environment says of a field."""

    text: str
    warning: str = ""


def _settings(
    command: str,
    names: list[str],
    environ: Mapping[str, str],
    *,
    old_names: bool,
) -> dict[str, _Setting]:
    """What the environment says, by field."""
    found = {}
    for name in names:
        setting = _from_environment(command, name, environ, old_names=old_names)
        if setting is not None:
            found[name] = setting
    return found


def _from_environment(
    command: str,
    name: str,
    environ: Mapping[str, str],
    *,
    old_names: bool,
) -> _Setting | None:
    """LLMOPS_<COMMAND>_<FIELD>, and for this release LLMOPS_<FIELD> with a warning."""
    variable = variable_of(command, name)
    text = environ.get(variable)
    if text is not None:
        return _Setting(text)
    if not old_names or name in GLOBAL_FIELDS:
        return None
    old = f"LLMOPS_{name.upper()}"
    text = environ.get(old)
    if text is None:
        return None
    warning = f"{old} is read for this release only; its name is {variable}"
    return _Setting(text, warning)


GLOBAL_FIELDS = frozenset({"api_key", "state_dir", "env_create"})
"""LLMOPS_API_KEY and its like are settings of the whole toolkit, never fields of a recipe."""


def _checked(
    kind: type[msgspec.Struct],
    values: Values,
    said_of: Mapping[str, str],
) -> Values:
    """The values as the struct's fields want them.

    Field by field, so that a message can name where the bad value came from.
    """
    hints = hints_of(kind)
    prepared = {}
    for name, value in values.items():
        said = said_of[name]
        hint = hints[name]
        read = reader_of(hint)
        if read is not None and _is_text(value):
            ready = _read(read, value, said, choices=choices_of(hint))
        else:
            ready = _as_field(hint, value)
        _check_field(name, hint, ready, said)
        prepared[name] = ready
    return prepared


def _read(
    read: Callable[[Any], object],
    value: object,
    said: str,
    *,
    choices: list[str],
) -> object:
    """Text in a grammar of the field's own. Any: text, or a list of texts."""
    try:
        return read(value)
    except Unreadable as error:
        hint = f"for example {error.example}"
        if choices and isinstance(value, str):
            hint = nearest_name(value, choices)
        raise UsageError(f"{said}: {error.what}", hint=hint) from error


def _check_field(
    name: str,
    hint: object,
    value: object,
    said: str,
) -> None:
    """By a struct of that one field, so that the others' absence is no error."""
    field = (name, hint)
    only = msgspec.defstruct(f"Only{name}", [field])
    fields = {name: value}
    try:
        # strict=False: the environment and the command line only have strings
        msgspec.convert(fields, only, strict=False)
    except msgspec.ValidationError as error:
        known = choices_of(hint)
        if known and isinstance(value, str):
            raise UsageError(f"{said}: no such value", hint=nearest_name(value, known)) from error
        raise UsageError(f"{said}: {_reason(value, hint)}", hint=_form(hint)) from error


def _form(hint: object) -> str | None:
    """What would be right."""
    if is_share(hint):
        return "a share is a number from 0 to 1, or 0% to 100%"
    known = ", ".join(choices_of(hint))
    if known:
        return f"known: {known}"
    return None


def _reason(value: object, hint: object) -> str:
    """What it must be; the value itself was said already, unless a part of it is meant."""
    misfit = misfit_of(value, hint, strict=False)
    if misfit is None:
        return "cannot be used"
    if not misfit.place:
        return misfit.wanted
    is_in_list = all(isinstance(step, int) for step in misfit.place)
    return misfit.message if is_in_list else misfit.told


def _is_text(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    return isinstance(value, str)


def _as_field(hint: object, value: object) -> object:
    """Comma-separated text becomes a list, and JSON text a mapping, where the field is one."""
    plain = plain_type(hint)
    shape = get_origin(plain) or plain
    if is_list(hint):
        return _as_list(value)
    is_mapping = shape is dict or _is_struct(plain)
    if is_mapping and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value  # which the field's type refuses
    if plain == dict[str, str] and isinstance(value, dict):
        return {name: as_text(part) for name, part in value.items()}
    if _is_struct(plain) and isinstance(value, dict):
        kind = cast(type[msgspec.Struct], plain)
        return _nested(kind, value)
    return value


def as_text(value: object) -> object:
    """A number or a truth value of a recipe, as the command line would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return value


def _as_list(value: object) -> object:
    if isinstance(value, int | float):
        return [value]
    if not isinstance(value, str):
        return value
    texts = value.split(",")
    parts = [text.strip() for text in texts]
    return [part for part in parts if part]


def _nested(kind: type[msgspec.Struct], value: Values) -> Values:
    """A struct inside a recipe takes text the same way."""
    hints = hints_of(kind)
    ready = {}
    for key, part in value.items():
        if key not in hints:
            raise unknown_name("recipe field", key, hints)
        ready[key] = _as_field(hints[key], part)
    return ready


def _is_struct(plain: object) -> bool:
    if not isinstance(plain, type) or get_args(plain):
        return False
    return issubclass(plain, msgspec.Struct)
