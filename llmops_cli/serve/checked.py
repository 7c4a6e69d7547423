"""What `llmops serve --check` tells of a file that can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.reach import Binding, PrivateReach, reaches

if TYPE_CHECKING:
    from llmops_cli.show.tables import Narrowed

LEAVE = {
    Binding.ALL: "stay",
    Binding.SOME: "some can leave: the rule asks for more than private: true",
    Binding.NONE: "can leave: no rule says private",
}


class CheckedFile(msgspec.Struct, frozen=True, kw_only=True):
    """`models`: where prompts with personal data can go."""

    config: str
    upstreams: list[str]
    models: list[PrivateReach]
    warnings: list[str]


def checked(
    path: str,
    config: GatewayConfig,
    *,
    warnings: list[str],
) -> CheckedFile:
    return CheckedFile(
        config=path,
        upstreams=sorted(config.upstreams),
        models=reaches(config),
        warnings=warnings,
    )


def require_libraries(config: GatewayConfig) -> None:
    """What a start would miss. Nobody is asked anything. Raises: EnvironmentMissing; UsageError."""
    if config.redis is not None:
        from llmops_cli.serve.accounts.redis_link import RedisLink

        RedisLink(config.redis)
    if config.traces is not None:
        from llmops_cli.serve.watch.traces import Tracer

        Tracer(config.traces).close()


def privacy_table(models: list[PrivateReach]) -> Narrowed:
    from rich.table import Table

    from llmops_cli.show.tables import Narrowed

    table = Table(title="private prompts", title_justify="left")
    for title in ("model", "may reach", "never reach", "kept in the cache", "they"):
        table.add_column(title)
    for each in models:
        may_see = ", ".join(each.may_see)
        may_not = ", ".join(each.may_not)
        kept = each.cached_in or "no"
        table.add_row(each.model, may_see, may_not, kept, LEAVE[each.bound])
    return Narrowed(table, folds=("may reach", "never reach", "they"))
