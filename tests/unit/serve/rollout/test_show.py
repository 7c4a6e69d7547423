"""What others have written moves nothing on an operator's terminal."""

import io

from rich.console import Console

from llmops_cli.serve.rollout.history import Action, Deployment
from llmops_cli.serve.rollout.orders import DeployStatus
from llmops_cli.serve.rollout.show import status_page

HOSTILE = "ok\x1b[1A\x1b[2K\x1b]0;title\x07\x9b31m\u202e\x00\nforged [bold]row"


def test_a_reason_is_shown_and_does_nothing() -> None:
    entry = Deployment(
        at=0.0,
        action=Action.ROLLBACK,
        who=HOSTILE,
        key="k",
        digest="d",
        model=HOSTILE,
        reason=HOSTILE,
    )
    status = DeployStatus(
        state="s",
        config="c",
        config_ok=True,
        rolled_back=False,
        models=[],
        canaries={},
        live={HOSTILE: "blue"},
        history=[entry],
    )
    screen = io.StringIO()
    Console(file=screen, width=400, force_terminal=False).print(status_page(status, most=5))
    text = screen.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x00"} & set(text)
    assert "[bold]row" in text
    assert "<U+001B>" in text
