"""`llmops top`: a gateway, live."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

State = dict[str, Any]  # Any: the gateway's JSON


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

    from llmops_cli.cli.screen import console

    before = _look(url, key_env)
    out = console()
    if once:
        time.sleep(min(every, 1.0))
        out.print(_page(before, _look(url, key_env)))
        return
    with Live(
        _page(before, before), console=out, screen=out.is_terminal, auto_refresh=False
    ) as live:
        while True:
            time.sleep(every)
            now = _look(url, key_env)
            live.update(_page(before, now), refresh=True)
            before = now


def _look(url: str, key_env: str) -> State:
    """Raises: EnvironmentMissing; UsageError for a URL with a password."""
    import urllib.error
    import urllib.request

    import msgspec

    from llmops_cli.core.errors import EnvironmentMissing, UsageError

    base = url.rstrip("/").removesuffix("/v1")
    base = base if "://" in base else f"http://{base}"
    if "@" in base:
        raise UsageError(
            "a gateway's URL holds no password", hint=f"put its key into the variable {key_env}"
        )
    key = os.environ.get(key_env, "").strip()
    request = urllib.request.Request(
        f"{base}/admin/state", headers={"Authorization": f"Bearer {key}"} if key else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            found: State = msgspec.json.decode(reply.read())
            return found
    except urllib.error.HTTPError as error:
        with error:
            known = {
                404: f"{base} is no gateway of llmops",
                401: f"{key_env} holds no valid key",
                403: f"the key in {key_env} is not of the role admin",
            }
            said = known.get(error.code, f"{base} answers {error.code}")
            raise EnvironmentMissing(
                said, hint="llmops keys create --name ops --role admin"
            ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise EnvironmentMissing(
            f"nothing answers at {base}: {reason}", hint="llmops serve"
        ) from None
    except msgspec.DecodeError:
        raise EnvironmentMissing(f"{base} is no gateway of llmops") from None


def _page(before: State, now: State) -> Group:
    from rich.console import Group
    from rich.text import Text

    seconds = max(1e-9, now["at"] - before["at"])
    rate = (now["requests"] - before["requests"]) / seconds
    head = "   ".join(
        (
            f"up {now['uptime_s'] / 3600:.1f} h",
            f"{rate:.1f} requests/s",
            f"{now['in_flight']:.0f} under way",
            f"{now['queued']:.0f} waiting",
            _share(now),
        )
    )
    notes = [] if now["config_ok"] else ["the configuration file was changed and cannot be used"]
    notes += [f"audit log: {now['audit_lost']:.0f} lines lost"] if now["audit_lost"] else []
    notes += [
        f"canary {name}: {c['state']}, {c['percent']} %{', ' + c['reason'] if c['reason'] else ''}"
        for name, c in now["canaries"].items()
    ]
    return Group(
        Text(head),
        *map(Text, notes),
        _models(before, now, seconds),
        _upstreams(before, now, seconds),
        _keys(now),
    )


def _share(now: State) -> str:
    cache = now["cache"]
    asked = sum(cache.get(name, 0) for name in ("hit", "semantic", "miss"))
    hits = cache.get("hit", 0) + cache.get("semantic", 0)
    blocked = sum(row["count"] for row in now["guard"] if row["action"] == "block")
    return (
        f"cache {hits / asked:.0%}   guard {blocked:.0f} blocked"
        if asked
        else f"guard {blocked:.0f} blocked"
    )


def _models(before: State, now: State, seconds: float) -> Table:
    from rich.table import Table

    table = Table(title="models", title_justify="left")
    for name in (
        "model",
        "requests/s",
        "errors",
        "tokens in/s",
        "tokens out/s",
        "TTFT p50",
        "TTFT p99",
        "TPOT p50",
        "E2E p99",
        "dollars",
    ):
        table.add_column(name, justify="left" if name == "model" else "right")
    for name, model in now["models"].items():
        old = before["models"].get(name) or {**model, "ttft": [], "tpot": [], "e2e": []}

        def each(field: str, model: State = model, old: State = old) -> str:
            return f"{(model[field] - old[field]) / seconds:.1f}"

        table.add_row(
            name,
            each("requests"),
            f"{model['errors']:.0f}",
            each("input_tokens"),
            each("output_tokens"),
            _ms(old["ttft"], model["ttft"], 0.5),
            _ms(old["ttft"], model["ttft"], 0.99),
            _ms(old["tpot"], model["tpot"], 0.5),
            _ms(old["e2e"], model["e2e"], 0.99),
            f"{model['dollars']:.4f}",
        )
    return table


def _ms(old: list[list[Any]], new: list[list[Any]], share: float) -> str:  # Any: a bound, or "+Inf"
    """The bound of a histogram's bucket in which that share is reached.

    Since the last look, else since the start.
    """
    earlier = {str(bound): count for bound, count in old}
    recent = [(bound, count - earlier.get(str(bound), 0)) for bound, count in new]
    counts = recent if recent and recent[-1][1] > 0 else [(bound, count) for bound, count in new]
    total = counts[-1][1] if counts else 0
    if not total:
        return "-"
    bound = next(bound for bound, count in counts if count >= total * share)
    return f"> {counts[-2][0] * 1e3:.0f} ms" if isinstance(bound, str) else f"{bound * 1e3:.0f} ms"


def _upstreams(before: State, now: State, seconds: float) -> Table:
    from rich.table import Table

    table = Table(title="upstreams", title_justify="left")
    for name in (
        "upstream",
        "state",
        "breaker",
        "answers/s",
        "failures",
        "tokens under way",
        "where",
    ):
        table.add_column(
            name,
            justify="right" if name in ("answers/s", "failures", "tokens under way") else "left",
        )
    old = {row["name"]: row["answers"] for row in before["upstreams"]}
    for row in now["upstreams"]:
        rate = (row["answers"] - old.get(row["name"], 0)) / seconds
        table.add_row(
            row["name"],
            _state(row),
            row["breaker"],
            f"{rate:.1f}",
            f"{row['errors']:.0f}",
            f"{row['outstanding']:.0f}",
            ", ".join(row["url"]),
        )
    return table


def _state(row: State) -> str:
    if not row["up"]:
        return "[red]down[/]"
    return "[yellow]failing[/]" if row["breaker"] == "open" else "up"


def _keys(now: State) -> Table:
    from rich.table import Table

    table = Table(title=f"keys, {now['month']}", title_justify="left")
    for name in ("key", "role", "requests since the start", "tokens", "dollars"):
        table.add_column(name, justify="left" if name in ("key", "role") else "right")
    for key in sorted(now["keys"], key=lambda key: -key["tokens"])[:10]:
        if key["revoked"] is None:
            of = f" of {key['budget_dollars']:.4g}" if key["budget_dollars"] is not None else ""
            table.add_row(
                key["name"],
                key["role"],
                f"{key['requests']:.0f}",
                f"{key['tokens']:,.0f}",
                f"{key['dollars']:.4f}{of}",
            )
    return table
