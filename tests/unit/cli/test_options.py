"""A recipe's fields are flags: what was not given is absent, engine options are options."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from typer.testing import CliRunner

from llmops_cli.cli.options import Given, recipe_command, with_subcommands
from llmops_cli.core.fields import Flag
from llmops_cli.core.grammar import read_share


class Wish(msgspec.Struct, frozen=True):
    """A recipe."""

    model: Annotated[str, Flag(help="Which.", argument=True)] = "demo"
    steps: Annotated[int, Flag(help="How many.")] = 3
    share: Annotated[float | None, Flag(help="Of all.", read=read_share)] = None
    quiet: Annotated[bool, Flag(help="No words.")] = False
    tags: Annotated[list[str], Flag(help="Names.", names=("--tag",), repeat=True)] = []
    options: Annotated[dict[str, str], Flag(help="More.", names=("--set",), repeat=True)] = {}
    inner: int = 7


class Knobs(msgspec.Struct, frozen=True):
    """An engine's options."""

    threads: Annotated[int | None, Flag(help="Threads.", example="8")] = None
    fast: Annotated[bool | None, Flag(help="Fast.", names=("--fast/--slow",))] = None


def invoke(*args: str, engine: bool = False) -> tuple[Any, list[Given]]:
    seen: list[Given] = []

    def command(given: Given, *, loud: bool = typer.Option(False, "--loud")) -> None:
        """Does something."""
        seen.append({**given, "loud": loud})

    def below(name: str = typer.Argument()) -> None:
        """Looks only."""
        seen.append({"below": name})

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    made = recipe_command(command, Wish, engine=Knobs if engine else None)
    app.command("command", cls=with_subcommands(look=below))(made)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["command", *args]), seen


def test_what_was_not_given_is_absent() -> None:
    assert invoke()[1] == [{"loud": False}]


def test_what_was_given_is_there_under_its_field() -> None:
    args = ["m", "--steps", "5", "--share", "3%", "--quiet", "--tag", "a", "--tag", "b", "--loud"]
    expected = {
        "model": "m",
        "steps": 5,
        "share": "3%",
        "quiet": True,
        "tags": ["a", "b"],
        "loud": True,
    }
    assert invoke(*args)[1] == [expected]


def test_engine_flags_and_set_are_one_list_of_options() -> None:
    args = ["--set", "queue=3", "--threads", "2", "--slow"]
    given = invoke(*args, engine=True)[1][0]
    assert given["options"] == ["queue=3", "threads=2", "fast=false"]


def test_the_help_has_defaults_and_no_field_without_a_flag() -> None:
    text = invoke("--help")[0].output
    assert "How many.  [default: 3]" in text
    assert "inner" not in text
    assert "look" in text


def test_a_wrong_type_is_refused_by_the_flag() -> None:
    result, seen = invoke("--steps", "many")
    assert result.exit_code == 2
    assert not seen


def test_a_subcommand_stands_before_the_argument() -> None:
    assert invoke("look", "x")[1] == [{"below": "x"}]
    assert invoke("./look")[1] == [{"model": "./look", "loud": False}]
