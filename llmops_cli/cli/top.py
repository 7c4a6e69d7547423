"""`llmops top`: a gateway, live."""

from __future__ import annotations

import time

import typer


def register(app: typer.Typer) -> None:
    app.command()(top)


def top(
    url: str = typer.Argument("http://127.0.0.1:8080", help="The gateway."),
    key_env: str = typer.Option(
        "LLMOPS_API_KEY", help="The variable that holds a key of the role admin."
    ),
    every: float = typer.Option(2.0, min=0.2, help="Seconds between two looks."),
    once: bool = typer.Option(False, "--once", help="Two looks, one table, and end."),
) -> None:
    """What a gateway does now: traffic, latency, upstreams, keys, canaries."""
    from rich.live import Live

    from llmops_cli.cli.screen import console, print_table
    from llmops_cli.serve.look import look
    from llmops_cli.serve.show import state_page

    before = look(url, key_env)
    if once:
        time.sleep(min(every, 1.0))
        now = look(url, key_env)
        print_table(state_page(before, now))
        return
    out = console()
    screen = Live(
        state_page(before, before),
        console=out,
        screen=out.is_terminal,
        auto_refresh=False,
    )
    with screen as live:
        while True:
            time.sleep(every)
            now = look(url, key_env)
            page = state_page(before, now)
            live.update(page, refresh=True)
            before = now
