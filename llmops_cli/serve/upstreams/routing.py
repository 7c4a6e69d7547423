"""Which upstreams a request may go to, best first: rules, canary, balance, capabilities."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from llmops_cli.core.artifact import name_of_path
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, Pool, PoolMember
from llmops_cli.gateway_file.privacy import asking_for_privacy
from llmops_cli.serve.context import NAME_CHARS, Asked
from llmops_cli.serve.near_name import near_name
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.balance import ordered
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.destinations import Destinations
from llmops_cli.serve.upstreams.members import Members
from llmops_cli.serve.upstreams.rules import first_met
from llmops_cli.serve.upstreams.upstream import Upstream

NOTHING: frozenset[str] = frozenset()
BY_ITSELF = ModelConfig()
"""Of a model that an upstream lists and the file does not name."""


Shows = Callable[[str], bool]
"""Whether somebody may be told of a model."""


class Route(msgspec.Struct, frozen=True):
    """`alias` is the name in the file whose `settings` count."""

    alias: str
    settings: ModelConfig


class Router:
    """The names of one configuration."""

    def __init__(
        self,
        config: GatewayConfig,
        upstreams: Mapping[str, Members],
        canaries: Canaries,
    ) -> None:
        self._config = config
        self._upstreams = upstreams
        self._changing = [each for each in upstreams.values() if each.discovery is not None]
        self._fixed = None if self._changing else self._members()
        self._canaries = canaries
        self._routes = _routes(config)
        self._plain = {name: PoolMember(upstream=name) for name in upstreams}
        self._random = random.Random()
        self._private = asking_for_privacy(config)

    @property
    def generation(self) -> int:
        """Another one: members have come or gone."""
        if not self._changing:
            return 0
        return sum(members.generation for members in self._changing)

    @property
    def _all(self) -> list[Upstream]:
        """A list for each request is made only where members come and go."""
        return self._members() if self._fixed is None else self._fixed

    def _members(self) -> list[Upstream]:
        return [upstream for members in self._upstreams.values() for upstream in members]

    def joined(self, candidates: list[RoutingCandidate]) -> list[RoutingCandidate]:
        """Members that have come since these were ranked."""
        known = {id(each.upstream) for each in candidates}
        found = []
        for each in candidates:
            for upstream in self._upstreams[each.upstream.name]:
                if id(upstream) not in known:
                    known.add(id(upstream))
                    found.append(replace(each, upstream=upstream))
        return found

    # Names.

    def names(self) -> set[str]:
        """What clients may ask for."""
        if self._config.models:
            return set(self._routes)
        names: set[str] = set()
        for upstream in self._all:
            names |= upstream.models or NOTHING
        return names

    def lists(self, alias: str) -> bool:
        """Whether it is one of ours: a name that only the client knows is no label for a metric."""
        if self._config.models:
            return alias in self._config.models
        return any(alias in (each.models or NOTHING) for each in self._all)

    def model(self, name: str, *, shows: Shows | None = None) -> Route:
        """`shows`: names that whoever asks may be told of.

        Raises: Refusal for a name that does not exist.
        """
        found = self._routes.get(name)
        if found is not None:
            return found
        if not self._config.models and self._may_be_served(name):
            return Route(name, BY_ITSELF)
        raise self.no_model(name, shows)

    def may_be_model(self, name: str) -> bool:
        """Whether somebody may have it whom nobody can ask."""
        return not self._config.models and self._may_be_served(name)

    def _may_be_served(self, name: str) -> bool:
        """One that lists nothing may have any model."""
        return any(each.models is None or name in each.models for each in self._all)

    def no_model(self, name: str, shows: Shows | None) -> Refusal:
        """To be raised: the nearest name is told of those that may be."""
        message = f"there is no model {name[:NAME_CHARS]!r}"
        known = list(filter(shows, self.names())) if shows else []
        hint = near_name(name, known) if len(name) <= NAME_CHARS else None
        if hint is not None:
            message = f"{message}: {hint}"
        return Refusal(404, message, code="model_not_found")

    def context_tokens(self, name: str) -> int | None:
        """How many tokens fit, wherever its requests go; None: no upstream says so."""
        route = self.model(name)
        if route.settings is BY_ITSELF:
            candidates = self._listing(name)
        else:
            candidates = self._expand(route.settings.members(), name, route.alias)
        told = [each.upstream.contexts.get(each.model) for each in candidates]
        return min((tokens for tokens in told if tokens), default=None)

    def everyone(self, name: str, asked: Asked) -> list[RoutingCandidate]:
        """Every upstream that a request may be sent to, whichever is drawn in the end."""
        route = self.model(name)
        alias = route.alias
        model = route.settings
        if model is BY_ITSELF:
            return self._listing(name)
        rule = first_met(model.rules, asked)
        found = self._expand(rule.use if rule else model.members(), name, alias)
        if rule is None and model.canary is not None:
            found += self._expand(model.canary.use, name, alias)
        needs = asked.needs()
        return [each for each in found if each.upstream.can(needs)]

    def context_most(self, name: str, asked: Asked) -> int | None:
        """How many tokens fit wherever a request may go; None: somebody does not say."""
        settings = self.model(name).settings
        if settings.context is not None:
            return settings.context
        told = [each.upstream.contexts.get(each.model) for each in self.everyone(name, asked)]
        known = [tokens for tokens in told if tokens]
        return max(known) if known and len(known) == len(told) else None

    # Candidates.

    def candidates(self, name: str, asked: Asked) -> list[RoutingCandidate]:
        """Every upstream that could answer, best first, whether it is usable now or not.

        Raises: Refusal if there is no such model, or no upstream that can do what is asked.
        """
        return self.ranked(self.model(name), name, asked)

    def ranked(
        self,
        route: Route,
        name: str,
        asked: Asked,
    ) -> list[RoutingCandidate]:
        """The same, of a name whose route is known."""
        alias = route.alias
        model = route.settings
        if model is BY_ITSELF:
            return ordered(self._listing(name), "tokens", asked, self._random)
        rule = first_met(model.rules, asked)
        pool = rule.use if rule else model.members()
        members = self._expand(pool, name, alias)
        able = self._able(members, name, asked)
        best_first = ordered(able, model.balance, asked, self._random)
        if rule is None and self._draws_canary(alias, model, asked):
            return self._canary(name, alias, model, asked) + best_first
        return best_first

    def asks_for_privacy(self, name: str) -> bool:
        """Whether it matters for a model that a request is personal."""
        return bool(self._private) and self.model(name).alias in self._private

    def shadow(self, name: str, destinations: Destinations) -> RoutingCandidate | None:
        """Who gets a copy of this request, if anybody."""
        if not self._config.models:
            return None
        route = self.model(name)
        shadow = route.settings.shadow
        if shadow is None or self._random.random() >= shadow.share:
            return None
        for candidate in self._expand(shadow.use, name, route.alias):
            upstream = candidate.upstream
            if destinations.allows(upstream.name) and upstream.usable():
                return replace(candidate, side="shadow")
        return None

    def _listing(self, name: str) -> list[RoutingCandidate]:
        """Who lists the model, or else who lists nothing and may have it."""
        listing = []
        silent = []
        for upstream in self._all:
            if upstream.models is None:
                silent.append(RoutingCandidate(upstream, name))
            elif name in upstream.models:
                listing.append(RoutingCandidate(upstream, name))
        return listing or silent

    def _expand(
        self,
        pool: Pool,
        name: str,
        alias: str,
    ) -> list[RoutingCandidate]:
        """The pool's upstreams, each replica of them."""
        found = []
        for entry in pool:
            member = self._plain[entry] if isinstance(entry, str) else entry
            for upstream in self._upstreams[member.upstream]:
                theirs = _their_name(upstream, member, name, alias)
                weight = member.weight * upstream.weight
                found.append(RoutingCandidate(upstream, theirs, weight))
        return found

    def _able(
        self,
        candidates: list[RoutingCandidate],
        name: str,
        asked: Asked,
    ) -> list[RoutingCandidate]:
        """Those that can do what is asked. Raises: Refusal if there is none."""
        needs = asked.needs()
        if needs:
            candidates = [each for each in candidates if each.upstream.can(needs)]
        if not candidates:
            wanted = ", ".join(sorted(needs))
            message = f"no upstream of {name[:NAME_CHARS]!r} can do {wanted}"
            raise Refusal(400, message, code="unsupported")
        return candidates

    # The canary.

    def _draws_canary(
        self,
        alias: str,
        model: ModelConfig,
        asked: Asked,
    ) -> bool:
        if model.canary is None:
            return False
        percent = self._canaries.percent(alias)
        return percent > 0 and self._draw(asked) < percent

    def _draw(self, asked: Asked) -> float:
        """0 to 100: the same for a session, so that its answers come from one side.

        Of a request without one it is the same however often it is asked.
        """
        drawn_by = asked.session or asked.id
        digest = hashlib.sha256(drawn_by.encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 * 100

    def _canary(
        self,
        name: str,
        alias: str,
        model: ModelConfig,
        asked: Asked,
    ) -> list[RoutingCandidate]:
        assert model.canary is not None
        new = self._expand(model.canary.use, name, alias)
        new = [replace(candidate, side="canary") for candidate in new]
        return ordered(new, model.balance, asked, self._random)


def _routes(config: GatewayConfig) -> dict[str, Route]:
    """By every name of the file, those of adapters included."""
    found = {name: Route(name, model) for name, model in config.models.items()}
    for route in list(found.values()):
        for adapter in route.settings.adapters:
            found[adapter] = route
    return found


def _their_name(
    upstream: Upstream,
    member: PoolMember,
    name: str,
    alias: str,
) -> str:
    """What an upstream calls the model.

    An adapter has its own name everywhere. A model that the file does not translate has the same
    name there, or that of the only one that the upstream has. A path is what an engine of ours has
    its model from, and not what it calls it.
    """
    if name != alias:
        return name
    models = upstream.models
    if member.model:
        of_path = name_of_path(member.model)
        is_listed = models is not None and of_path in models
        return of_path if of_path is not None and is_listed else member.model
    if models is not None and name not in models and len(models) == 1:
        return next(iter(models))
    return name
