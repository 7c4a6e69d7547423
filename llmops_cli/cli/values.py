"""What a flag's text stands for, where it is plain.

Typer has pydantic convert it, which is imported then: 0.1 CPU seconds and 9 MB of every process,
the gateway's among them. It is still asked for what is not plain, and for the words of mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup

from llmops_cli.core.wanted import given_of, wanted_of

CONVERSION = "_runtime_param"
"""Where Typer 0.29 keeps it, made when it is first needed; without that name nothing is eased."""
WHOLE_LINE = 1_000
"""Characters of a command's line in a list of commands."""
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


class PlainValue:
    """In the place of Typer's conversion of one parameter."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # Any: Typer's own
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if several and param.type_descriptor.annotation == list[str]:
            return list(value)
        if isinstance(value, str):
            found = _plain(value, param.type_descriptor)
            if found is not None:
                return found
        setattr(param, CONVERSION, None)
        try:
            return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
        except typer.BadParameter as error:
            raise _in_our_words(error, value, param, ctx) from error


def _plain(text: str, wanted: Any) -> str | int | float | None:  # Any: as above
    """None where Typer has to be asked."""
    bounds = wanted.parameter_info
    if bounds.parser is not None or bounds.min is not None or bounds.max is not None:
        return None
    if wanted.annotation is str:
        return text
    if wanted.annotation is int and _INTEGER.fullmatch(text):
        return int(text)
    if wanted.annotation is float and _DECIMAL.fullmatch(text):
        return float(text)
    return None


def _in_our_words(
    error: Exception,
    value: object,
    param: Any,
    ctx: Any,
) -> Exception:  # Any: as above
    """Of a number; other mistakes are told by Typer."""
    wanted = param.type_descriptor
    if wanted.annotation not in (int, float):
        return error
    bounds = msgspec.Meta(ge=wanted.parameter_info.min, le=wanted.parameter_info.max)
    number = Annotated[int, bounds] if wanted.annotation is int else Annotated[float, bounds]
    told = f"must be {wanted_of(number)}, not {given_of(value)}"
    return typer.BadParameter(told, ctx=ctx, param=param)


def _eased(params: list[Any]) -> list[Any]:
    """Those of a command, its help among them."""
    for param in params:
        if getattr(param, CONVERSION, param) is None:
            setattr(param, CONVERSION, PlainValue())
    return params


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:  # Any: as above
        return _eased(super().get_params(ctx))


class Group(TyperGroup):
    """Commands below one name; the name alone shows them, which is no error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: as above
        return super().parse_args(ctx, args or ["--help"])

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # Any: as above
        """Each with its whole line: it folds where the screen is narrow, and is never cut."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.commands[name]
            if not command.hidden:
                rows.append((name, command.get_short_help_str(WHOLE_LINE)))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def get_params(self, ctx: Any) -> list[Any]:  # Any: as above
        return _eased(super().get_params(ctx))


class CommandLine(typer.Typer):
    """Commands below one name."""

    def __init__(
        self,
        *,
        cls: type[Group] = Group,
        add_completion: bool = False,
        **settings: Any,  # as above
    ) -> None:
        super().__init__(
            cls=cls,
            rich_markup_mode=None,
            add_completion=add_completion,
            **settings,
        )

    def command(
        self,
        name: str | None = None,
        *,
        cls: type[TyperCommand] | None = None,
        **settings: Any,
    ) -> Callable[[Any], Any]:  # Any: as above
        return super().command(name, cls=cls or Command, **settings)
