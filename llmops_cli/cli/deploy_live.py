"""`llmops deploy canary|promote|rollback|status`: what is done to a gateway that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from llmops_cli.core.errors import UsageError

if TYPE_CHECKING:
    from llmops_cli.serve.rollout.orders import Order

URL = typer.Option("http://127.0.0.1:8080", "--url", help="The gateway.")
KEY_ENV = typer.Option("LLMOPS_API_KEY", help="The variable that holds a key of the role admin.")
REASON = typer.Option("", "--reason", help="Why, for the history.")
EXPECT = typer.Option(
    "", "--expect", help="The state that `deploy status` showed; another one ends it with 5."
)
JSON = typer.Option(False, "--json", help="Print where everything stands and nothing else.")
MODEL = typer.Argument(help="Whose canary, by its name in the gateway's file.")


def register(group: typer.Typer) -> None:
    for command in (canary, promote, rollback, status):
        group.command()(command)


def canary(
    model: str = MODEL,
    percent: int = typer.Option(None, help="One of its steps.  [default: the first]"),
    reason: str = REASON,
    expect: str = EXPECT,
    url: str = URL,
    key_env: str = KEY_ENV,
    as_json: bool = JSON,
) -> None:
    """Begin a model's canary, also one that was rolled back, or go to one of its steps."""
    from llmops_cli.serve.rollout.orders import Order

    order = Order(action="canary", model=model, percent=percent, reason=reason, expect=expect)
    _deploy(order, url, key_env, as_json)


def promote(
    model: str = MODEL,
    reason: str = REASON,
    expect: str = EXPECT,
    url: str = URL,
    key_env: str = KEY_ENV,
    as_json: bool = JSON,
) -> None:
    """All of a model's traffic to its canary, now."""
    from llmops_cli.serve.rollout.orders import Order

    order = Order(action="promote", model=model, reason=reason, expect=expect)
    _deploy(order, url, key_env, as_json)


def rollback(
    model: str | None = typer.Argument(
        None, help="Whose canary; without one, the configuration before is put back."
    ),
    reason: str = REASON,
    expect: str = EXPECT,
    url: str = URL,
    key_env: str = KEY_ENV,
    as_json: bool = JSON,
) -> None:
    """No traffic to a model's canary any more; or the configuration that was served before."""
    from llmops_cli.serve.rollout.orders import Order

    order = Order(action="rollback", model=model, reason=reason, expect=expect)
    _deploy(order, url, key_env, as_json)


def status(
    history: int = typer.Option(20, min=0, max=100, help="So many of the last entries."),
    url: str = URL,
    key_env: str = KEY_ENV,
    as_json: bool = JSON,
) -> None:
    """Canaries, the configuration that is served, and who deployed what, when and why."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.serve.rollout.client import deploy_status
    from llmops_cli.serve.rollout.show import status_page

    found = deploy_status(url, key_env)
    if as_json:
        print_json(found)
        return
    print_table(status_page(found, most=history))


def _deploy(
    order: Order,
    url: str,
    key_env: str,
    as_json: bool,
) -> None:
    from llmops_cli.cli.screen import print_json, say
    from llmops_cli.serve.rollout.client import deploy
    from llmops_cli.serve.rollout.show import done_in_words

    if order.model == "":
        raise UsageError("the model is empty", hint="a rollback without one is the configuration's")
    reply = deploy(url, key_env, order)
    if as_json:
        print_json(reply)
        return
    say(done_in_words(order, reply))
