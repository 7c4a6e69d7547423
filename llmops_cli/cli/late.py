"""Commands whose flags are made when they are asked for: those of a large recipe take 30 ms."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperCommand

from llmops_cli.cli.values import Command, CommandLine

Make = Callable[[CommandLine], object]
"""Registers one command, with all its flags."""


class LateCommand(Command):
    """Known by its name and its help; everything else is the real one's."""

    make: Make

    @property
    def params(self) -> list[Any]:  # Any: click's, as below
        return self.real.params

    @params.setter
    def params(self, _listed: list[Any]) -> None:
        """What is only listed has none."""

    @cached_property
    def real(self) -> TyperCommand:
        app = CommandLine()
        type(self).make(app)
        found = typer.main.get_command(app)
        assert isinstance(found, TyperCommand)
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:  # Any: click's context, of which Typer may carry a copy
        return self.real.make_context(info_name, args, parent=parent, **extra)


def add_late(
    group: typer.Typer,
    function: Callable[..., None],
    make: Make,
    *,
    name: str | None = None,
) -> None:
    """`name`, else `function`'s, and its docstring stand in the list of commands."""

    def listed() -> None:
        pass

    listed.__doc__ = function.__doc__
    kind = type("Command", (LateCommand,), {"make": staticmethod(make)})
    group.command(name or function.__name__, cls=kind)(listed)
