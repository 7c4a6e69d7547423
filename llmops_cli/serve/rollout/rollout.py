"""What the gateway does for /admin/deployments: it tells where everything stands, and obeys."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection

import msgspec

from llmops_cli.core.errors import LlmopsError, nearest_name
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door.small_body import small_body
from llmops_cli.serve.follow import FileFollower, Serving
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.rollout.history import (
    Action,
    Deployment,
    digest_before,
    entries,
    is_rolled_back,
    kept_config,
    state_of,
)
from llmops_cli.serve.rollout.orders import (
    CanaryReport,
    DeployReply,
    DeployStatus,
    Order,
    SideReport,
)
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CANARY, STABLE, SideStats
from llmops_cli.serve.upstreams.canary_order import CanaryOrder
from llmops_cli.serve.watch.audit import AuditedOrder

SHOWN_MOST = 100


class Rollout:
    """Of one worker; what it does, the others take over within a second."""

    def __init__(
        self,
        serving: Serving,
        *,
        canaries: Canaries,
        follower: FileFollower,
        database: sqlite3.Connection,
    ) -> None:
        self._serving = serving
        self._canaries = canaries
        self._follower = follower
        self._db = database

    async def status(self) -> bytes:
        await self._follower.look(self._serving)
        self._canaries.tick()  # what another worker was ordered a moment ago
        return msgspec.json.encode(self._status())

    async def obey(self, body: bytes, context: RequestContext) -> bytes:
        """What was ordered, and what came of it, stands in the context. Raises: Refusal."""
        order = _order_of(body)
        key = context.asked.key
        await self._follower.look(self._serving)
        context.observed.order = _audited(order, self._follower.digest)
        try:
            if order.model is not None:
                changed = self._order_canary(order, order.model, key)
            else:
                changed = await self._restore(order, key)
        except sqlite3.Error as error:
            raise Refusal(503, f"nothing was changed: {error}", code="state_unwritable") from None
        context.observed.order = self._set_by(order, changed=changed)
        reply = DeployReply(changed=changed, status=self._status())
        return msgspec.json.encode(reply)

    def _set_by(self, order: Order, *, changed: bool) -> AuditedOrder:
        """As things stand after it."""
        audited = _audited(order, self._follower.digest)
        percent = None if order.model is None else self._canaries.percent(order.model)
        return msgspec.structs.replace(audited, percent=percent, changed=changed)

    # -- what is ordered

    def _order_canary(self, order: Order, model: str, key: Key) -> bool:
        """Raises: Refusal."""
        models = self._serving.snapshot.config.models
        if self._canaries.config(model) is None:
            raise _no_canary(model, models, self._canaries.states())
        asked = CanaryOrder(
            action=Action(order.action),
            percent=order.percent,
            who=key.name,
            key=key.id,
            reason=order.reason,
        )

        def check(database: sqlite3.Connection) -> None:
            self._require_expected(order, database)

        return self._canaries.order(model, asked, check)

    async def _restore(self, order: Order, key: Key) -> bool:
        """The configuration before this one. Raises: Refusal."""
        if order.action != "rollback":
            raise Refusal(400, f"{order.action} needs a model", code="invalid_body")
        self._require_expected(order, self._db)
        digest = self._follower.digest
        if is_rolled_back(self._db, digest):
            return False
        before = digest_before(self._db, digest)
        kept = None if before is None else kept_config(self._db, before)
        if kept is None:
            raise Refusal(
                409,
                "no configuration before this one is known; models have canaries to roll back",
                code="nothing_before",
            )
        done = Deployment(
            at=time.time(),
            who=key.name,
            key=key.id,
            action=Action.ROLLBACK,
            digest=kept.digest,
            reason=order.reason,
        )

        def check(database: sqlite3.Connection) -> None:
            self._require_expected(order, database)

        try:
            await self._follower.restore(kept, self._serving, done, check)
        except LlmopsError as error:
            said = f"the configuration stays as it is: {error.message}"
            raise Refusal(409, said, code="cannot_be_served") from None
        return True

    def _require_expected(self, order: Order, database: sqlite3.Connection) -> None:
        """Raises: Refusal."""
        state = state_of(database, self._follower.digest)
        if order.expect in ("", state):
            return
        last = next(iter(entries(database, 1)), None)
        who = f", last by {last.who}: {last.action} {last.model}".rstrip() if last else ""
        raise Refusal(
            409,
            f"something was deployed in between{who}; the state is {state}, not {order.expect}",
            code="state_changed",
        )

    # -- where it stands

    def _status(self) -> DeployStatus:
        config = self._serving.snapshot.config
        digest = self._follower.digest
        models = config.models
        return DeployStatus(
            state=state_of(self._db, digest),
            config=digest,
            config_ok=self._follower.is_file_fine(),
            rolled_back=is_rolled_back(self._db, digest),
            models=sorted(models),
            canaries={name: self._report(name) for name in self._canaries.states()},
            live={name: model.live for name, model in models.items() if model.live},
            history=entries(self._db, SHOWN_MOST),
        )

    def _report(self, name: str) -> CanaryReport:
        state = self._canaries.states()[name]
        config = self._canaries.config(name)
        return CanaryReport(
            state=state.state,
            percent=self._canaries.percent(name),
            steps=config.steps if config else [],
            since=state.since,
            reason=state.reason,
            stable=_side(state.sides[STABLE]),
            canary=_side(state.sides[CANARY]),
        )


def _order_of(body: bytes) -> Order:
    """Raises: Refusal."""
    order = small_body(body, Order)
    if order.model == "":
        said = "model: a name; without the field a rollback is the configuration's"
        raise Refusal(400, said, code="invalid_body")
    if order.model is None and order.action != "rollback":
        raise Refusal(400, f"{order.action} wants a model", code="invalid_body")
    if order.percent is not None and order.action != "canary":
        raise Refusal(400, f"{order.action} has no percent", code="invalid_body")
    return order


def _audited(order: Order, config: str) -> AuditedOrder:
    return AuditedOrder(
        action=order.action,
        model=order.model or "",
        percent=order.percent,
        config=config,
        reason=order.reason,
    )


def _no_canary(
    name: str,
    models: Collection[str],
    canaries: Collection[str],
) -> Refusal:
    if name in models:
        said = f"the model {name} has no canary; the gateway's file says so (models.{name}.canary)"
        return Refusal(404, said, code="no_canary")
    hint = nearest_name(name, canaries) if canaries else "no model has a canary"
    return Refusal(404, f"there is no model {name}; {hint}", code="model_not_found")


def _side(stats: SideStats) -> SideReport:
    return SideReport(
        requests=stats.requests,
        errors=stats.errors,
        ttft_s=stats.median_ttft_s(),
    )
