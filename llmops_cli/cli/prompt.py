"""`llmops prompt run|list|show|diff|export`; eval and optimize have modules of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli import prompt_eval, prompt_optimize
from llmops_cli.cli.late import add_late
from llmops_cli.cli.options import Given, in_groups, recipe_command
from llmops_cli.cli.settings import OUTPUT, RECIPE
from llmops_cli.cli.values import CommandLine

if TYPE_CHECKING:
    from llmops_cli.prompt.technique_run.report import PromptRunReport
    from llmops_cli.prompt_file.prompt import Prompt

group = CommandLine(
    help="Prompts as files, tried by technique over any endpoint, measured and exported.",
)
FOLDER = typer.Option("prompts", "--folder", help="The folder of prompts that names are of.")
VALUES = typer.Option(None, "--var", help="A variable's value, name=text. May be repeated.")
PROMPT = typer.Argument(help="A prompt's file, or its name, or NAME@VERSION.")
JSON = typer.Option(False, "--json", help="Print the result on stdout and nothing else.")


def register(app: typer.Typer) -> None:
    add_late(group, run, _make_run)
    prompt_eval.register(group)
    prompt_optimize.register(group)
    app.add_typer(group, name="prompt")


def _make_run(app: typer.Typer) -> None:
    from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe

    app.command("run", cls=in_groups(PromptRunRecipe))(recipe_command(run, PromptRunRecipe))


def run(
    given: Given,
    *,
    resume: Path = typer.Option(None, help="The folder of a run that was broken off."),
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """Ask a question, or cases with answers, by one technique or several beside one another."""
    from llmops_cli.cli.screen import TerminalProgress, print_json
    from llmops_cli.cli.settings import resolved
    from llmops_cli.prompt.technique_run.idle import check_idle
    from llmops_cli.prompt.technique_run.kept import resumed_recipe
    from llmops_cli.prompt.technique_run.plan import plan_of
    from llmops_cli.prompt.technique_run.problems import error_of
    from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
    from llmops_cli.prompt.technique_run.run import prompt_run
    from llmops_cli.prompt.technique_run.target import folder_word, named_target
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page

    if resume is not None:
        recipe = resumed_recipe(resume, given, recipe=recipe, output=output)
        output = resume
    found = resolved(PromptRunRecipe, given, command="prompt-run", file=recipe)
    check_idle(found.recipe, found.origins)
    plan = plan_of(found.recipe)
    if resume is None:  # before anybody is asked for a model's name
        RunFolder("prompt", "", chosen=output).require_unused()
    target = named_target(found.recipe, found.origins, prompt=plan.prompt)
    folder = RunFolder("prompt", folder_word(target.recipe), chosen=output)
    with TerminalProgress() as progress:
        try:
            report = prompt_run(
                target.recipe, target.origins, plan, folder=folder, progress=progress
            )
        finally:
            folder.forget_if_empty()
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
    else:
        _tell(report, page)
    error = error_of(report, folder.path)
    if error is not None:
        raise error


def _tell(report: PromptRunReport, page: Path) -> None:
    """A table is the result, on stdout; a single question's answer is, with the table beside it."""
    from llmops_cli.cli.screen import print_kept, say, show_table
    from llmops_cli.prompt.technique_run.show import DROPPABLE, answer_lines, run_table
    from llmops_cli.show.tables import Narrowed

    table = Narrowed(run_table(report), droppable=DROPPABLE)
    place = f"report: {page.with_name('report.json')}    page: {page}"
    if report.questions == 1:
        for answer in report.answers:
            sys.stdout.write("\n".join(answer_lines(answer)) + "\n")
        show_table(table)
        say(place)
    else:
        print_kept(table, place)


@group.command("list")
def list_prompts(
    folder: Path = typer.Argument("prompts", help="A folder of prompts."),
    as_json: bool = JSON,
) -> None:
    """The prompts of a folder, with their versions."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.prompt.listing import prompts_table, rows_of
    from llmops_cli.prompt_file.library import read_library

    rows = rows_of(read_library(folder).values())
    if as_json:
        print_json(rows)
        return
    print_table(prompts_table(rows))


@group.command()
def show(
    prompt: str = PROMPT,
    var: list[str] = VALUES,
    folder: Path = FOLDER,
    as_json: bool = JSON,
) -> None:
    """A prompt as a model gets it; without --var, with its holes."""
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.prompt.differences import written
    from llmops_cli.prompt.export import openai_body, request_of

    found = _found(prompt, folder)
    if as_json:
        values = _values(var) or {name: f"{{{{{name}}}}}" for name in found.required}
        print_json(openai_body(request_of(found, values)))
        return
    say(f"{found.name}@{found.version}")
    text = written(found)
    if var:
        messages = found.filled(_values(var))
        text = "\n\n".join(f"{each['role']}:\n{each['content']}" for each in messages)
    sys.stdout.write(f"{text}\n")


@group.command()
def diff(
    old: str = PROMPT,
    new: str = typer.Argument(help="Another, likewise."),
    folder: Path = FOLDER,
) -> None:
    """What differs in what a model is asked; nothing for the same version."""
    from llmops_cli.cli.screen import say
    from llmops_cli.prompt.differences import difference

    first = _found(old, folder)
    second = _found(new, folder)
    text = difference(first, second)
    if not text:
        say(f"the same version: {first.version}")
    sys.stdout.write(text)


@group.command()
def export(
    prompt: str = PROMPT,
    form: str = typer.Option("openai", "--as", help="messages, curl, openai, anthropic or python."),
    var: list[str] = VALUES,
    folder: Path = FOLDER,
    model: str = typer.Option(None, help="The model.  [default: the prompt's own]"),
    url: str = typer.Option(None, help="The endpoint.  [default: http://127.0.0.1:8000]"),
    output: Path = typer.Option(None, "-o", "--output", help="A file instead of stdout."),
) -> None:
    """Write a prompt as what other programs take."""
    from llmops_cli.core.urls import server_url
    from llmops_cli.prompt.export import exported, request_of
    from llmops_cli.runtime.files import write_atomic

    found = _found(prompt, folder)
    place = server_url(url, field="url") if url else None
    request = request_of(found, _values(var), model=model, url=place)
    text = exported(request, form)
    if output is not None:
        write_atomic(output, text.encode())
        return
    sys.stdout.write(text)


def _found(prompt: str, folder: Path) -> Prompt:
    from llmops_cli.prompt_file.library import find_prompt

    return find_prompt(prompt, folder=folder)


def _values(pairs: list[str] | None) -> dict[str, str]:
    """`name=text`; `name=@FILE` takes a file's text. Raises: UsageError."""
    from llmops_cli.prompt.values import values_of

    return values_of(pairs or [])
