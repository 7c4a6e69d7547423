"""A recipe's fields as the flags of a command: names, types, help and defaults, said once.

`recipe_command` gives a Typer command whose function gets what the user gave as one mapping, in
which a field that was not given is absent.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_origin, get_type_hints

import msgspec
import typer
from typer.core import TyperCommand

from llmops_cli.cli.values import Command, CommandLine
from llmops_cli.core.fields import Flag, flags_of, hints_of, is_share, plain_type, spelling_of

Given = dict[str, object]
"""Field name -> what the user gave, only for fields that were given."""
Function = Callable[..., None]
NO_VALUE: tuple[object, ...] = (None, (), [])

WIDEST_DEFAULT = 40
SWITCH_TYPES = (bool,)
NUMBER_TYPES = (int, float)


def recipe_command(
    function: Function,
    kind: type[msgspec.Struct],
    *,
    engine: type[msgspec.Struct] | None = None,
    instead: Mapping[str, Flag] | None = None,
) -> Function:
    """`function(given, **rest)` as a command with a flag for each field of `kind` that has one.

    `rest` are the function's own parameters after `given`. With `engine`, its options are flags
    too, and what was given of them stands as text in `given["options"]`. `instead`: flags that are
    another thing in this command, such as several values for one; they are given as text.
    """
    fields = _parameters(kind, prefix="", instead=instead or {})
    knobs = {}
    if engine is not None:
        knobs = _parameters(engine, prefix="Engine: ")

    def command(**values: Any) -> None:  # Any: as many types as flags
        given: Given = {}
        for name in fields:
            _take(given, name, values.pop(name))
        options: Given = {}
        for name in knobs:
            _take(options, name, values.pop(f"engine_{name}"))
        if options:
            _add_options(given, options)
        function(given, **values)

    _given, *own = inspect.signature(function).parameters.values()
    parameters = [
        *fields.values(),
        *knobs.values(),
        *own,
    ]
    hints = get_type_hints(function)
    annotations = {}
    for each in parameters:
        annotations[each.name] = hints.get(each.name, each.annotation)
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = annotations
    return command


def _add_options(given: Given, options: Given) -> None:
    """Behind those of `--set`, as text like them."""
    pairs = given.get("options") or []
    assert isinstance(pairs, list)
    more = []
    for name, value in options.items():
        more.append(f"{name}={as_text(value)}")
    given["options"] = pairs + more


def as_text(value: object) -> str:
    """A flag's value as `--set` would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def _take(
    given: Given,
    name: str,
    value: object,
) -> None:
    if value in NO_VALUE:
        return
    if isinstance(value, tuple):
        value = list(value)
    given[name] = value


Parameters = dict[str, inspect.Parameter]


def _parameters(
    kind: type[msgspec.Struct],
    *,
    prefix: str,
    instead: Mapping[str, Flag] | None = None,
) -> Parameters:
    """Field name -> the parameter that Typer makes its option of."""
    hints = hints_of(kind)
    struct_fields = msgspec.structs.fields(kind)
    fields = {field.name: field for field in struct_fields}
    found = {}
    for name, usual in flags_of(kind).items():
        flag = (instead or {}).get(name, usual)
        if flag.hidden:
            continue
        shown = flag.default
        if shown is None:
            shown = _shown(fields[name])
        words = _help(flag, prefix, shown)
        found[name] = inspect.Parameter(
            f"engine_{name}" if prefix else name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_option(name, flag, words),
            annotation=_type(flag, hints[name]),
        )
    return found


def _option(
    name: str,
    flag: Flag,
    words: str,
) -> Any:  # Any: Typer's own
    if flag.argument:
        return typer.Argument(None, help=words)
    names = flag.names or (spelling_of(name, flag),)
    return typer.Option(None, *names, help=words)


def _help(
    flag: Flag,
    prefix: str,
    shown: str,
) -> str:
    words = flag.help
    if prefix:
        words = prefix + _inside_a_sentence(words)
        if flag.example:
            words = f"{words}: {flag.example}"
        words = f"{words}."
    if not shown:
        return words
    return f"{words}  [default: {shown}]"


def _inside_a_sentence(words: str) -> str:
    """Without a capital and a full stop."""
    first = words[0].lower()
    rest = words[1:].rstrip(".")
    return first + rest


def _shown(field: msgspec.structs.FieldInfo) -> str:
    """A default worth telling."""
    default = field.default
    if default is msgspec.NODEFAULT or isinstance(default, bool):
        return ""
    if default in NO_VALUE:
        return ""
    if isinstance(default, float):
        return f"{default:g}"
    return str(default)


def _type(flag: Flag, hint: object) -> object:
    """What Typer checks; a field with a grammar of its own, or a list, is text."""
    plain = plain_type(hint)
    if is_share(hint):
        return str
    if flag.repeat:
        return list[str]
    if plain is bool:
        return bool
    if flag.read is None and plain in NUMBER_TYPES:
        return plain
    is_scalar = get_origin(plain) is None and plain in NUMBER_TYPES
    if flag.example and is_scalar:
        return plain
    return str


class InGroups(Command):
    """A command whose options stand below the headings of their fields."""

    groups: Mapping[str, str] = {}
    """Field name -> heading."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # Any: click's context and writer
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = self.groups.get(parameter.name or "", _usual_heading(parameter))
                rows = sections.setdefault(heading, [])
                rows.append(record)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _usual_heading(parameter: Any) -> str:  # Any: click's parameter
    if parameter.param_type_name == "argument":
        return "Arguments"
    return "Options"


def in_groups(kind: type[msgspec.Struct]) -> type[InGroups]:
    """The class of a command whose help has the headings that `kind` gives its fields."""
    groups = {}
    for name, flag in flags_of(kind).items():
        if flag.group:
            groups[name] = flag.group
    return type("Command", (InGroups,), {"groups": groups})


class WithSubcommands(Command):
    """A command that does its main work by itself and has a few others below it.

    `llmops quantize MODEL` quantizes, `llmops quantize inspect PATH` looks.
    """

    functions: Mapping[str, Function] = {}

    def subcommand(self, name: str) -> TyperCommand:
        """The command below this one."""
        app = CommandLine()
        app.command(name)(self.functions[name])
        found = typer.main.get_command(app)
        assert isinstance(found, TyperCommand)
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:  # Any: click's context, of which Typer may carry a copy
        name = args[0] if args else ""
        if name in self.functions:
            below = self.subcommand(name)
            below.context_settings = self.context_settings
            path = f"{info_name} {name}"
            return below.make_context(path, args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # Any: click's, as above
        rows = []
        for name, function in self.functions.items():
            rows.append((name, _first_line(function)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        super().format_epilog(ctx, formatter)


def with_subcommands(**functions: Function) -> type[WithSubcommands]:
    """The class of a command that has these below it."""
    fields = {"functions": functions}
    return type("Command", (WithSubcommands,), fields)


def _first_line(function: Function) -> str:
    text = inspect.getdoc(function) or ""
    paragraph, _, _ = text.partition("\n\n")
    words = paragraph.split()
    return " ".join(words)
