"""What is converted without Typer comes out as Typer would have it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.core import TyperCommand
from typer.testing import CliRunner

from llmops_cli.cli.values import Command, CommandLine

KINDS: tuple[type, ...] = (str, int, float)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"[ +-]?[0-9_]{0,25}(\.[0-9]{0,20})?(e[0-9]{1,3})?", fullmatch=True),
)


def option_of(cls: type[TyperCommand], kind: type) -> typer.Typer:
    """A command with one option of that type, which prints what it got."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    def command(value: object = None, names: object = None) -> None:
        typer.echo(repr((value, names)))

    command.__annotations__ = {"value": kind, "names": list[str]}
    app.command(cls=cls)(command)
    return app


OURS = {kind: option_of(Command, kind) for kind in KINDS}
THEIRS = {kind: option_of(TyperCommand, kind) for kind in KINDS}


@settings(max_examples=40)
@given(st.sampled_from(KINDS), TEXTS)
def test_a_text_means_what_typer_takes_it_for(kind: type, text: str) -> None:
    for argv in ([f"--value={text}"], [f"--names={text}", "--names=b"]):
        ours = CliRunner().invoke(OURS[kind], argv)
        theirs = CliRunner().invoke(THEIRS[kind], argv)
        if theirs.exit_code == 0:
            assert ours.output == theirs.output
        else:
            assert "Invalid value for '--value': must be a" in ours.output
            assert "Input should be" not in ours.output
        assert ours.exit_code == theirs.exit_code


@pytest.mark.parametrize(
    "argv",
    [
        ["bench", "--help"],
        ["guard", "--help"],
        ["bench", "--backend", "none", "--requests", "3", "--set", "a=b"],
    ],
)
def test_plain_values_import_no_pydantic(argv: list[str]) -> None:
    code = (
        f"import sys\nsys.argv=['llmops', *{argv!r}]\nfrom llmops_cli.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\nassert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_commands_line_is_whole_in_the_list_of_them(columns: int) -> None:
    """At 80 columns half of them ended with three dots."""
    app = CommandLine()

    @app.command()
    def one() -> None:
        """A line that is longer than a narrow terminal, and ends with the word that matters."""

    @app.command()
    def two() -> None:
        """Short."""

    shown = CliRunner().invoke(app, ["--help"], terminal_width=columns).output
    commands = " ".join(shown.partition("Commands:")[2].split())
    assert commands.endswith("and ends with the word that matters. two Short.")
    assert max(map(len, shown.splitlines())) <= columns
