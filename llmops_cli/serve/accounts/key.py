"""What is known of an API key: its rights, limits and tags, within bounds that can be kept."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.misfit import misfit_of

ASKING = (
    "audio",
    "chat",
    "completions",
    "embeddings",
    "feedback",
    "images",
    "messages",
    "models",
    "moderations",
    "rerank",
    "responses",
    "score",
    "tokenize",
)
ROLES = {
    "user": ASKING,
    "admin": (*ASKING, "metrics", "admin"),
    "metrics": ("metrics",),
}
"""Role -> what its keys may call."""
NAME_MOST = 100
TAGS_MOST = 16
LAST_MOMENT = 253_402_300_799
"""The end of the year 9999: what comes later cannot be shown as a date."""

Moment = Annotated[float, msgspec.Meta(ge=0, le=LAST_MOMENT)]
Most = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
KeyDollars = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
TagPart = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Tags = Annotated[dict[TagPart, TagPart], msgspec.Meta(max_length=TAGS_MOST)]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key, which is not the key.

    Times are seconds since 1970; an empty `models` means all. A key with `prompts` asks by these
    prompts of the gateway's alone; without, by any and by none.
    """

    id: str
    name: str
    role: str
    models: list[str]
    created: Moment
    expires: Moment | None = None
    revoked: Moment | None = None
    requests_per_minute: Most | None = None
    tokens_per_minute: Most | None = None
    streams: Most | None = None
    budget_dollars: KeyDollars | None = None
    budget_tokens: Most | None = None
    tags: Tags = {}
    prompts: list[str] = []

    def may(self, scope: str) -> bool:
        return scope in ROLES.get(self.role, ())

    def serves(self, model: str) -> bool:
        return not self.models or model in self.models

    def asks(self, prompt: str) -> bool:
        return not self.prompts or prompt in self.prompts

    def is_live(self) -> bool:
        if self.revoked is not None:
            return False
        return self.expires is None or self.expires > time.time()


FIELDS = Key.__struct_fields__
COLUMNS = ", ".join(FIELDS)
LISTED = {"models": "", "tags": "{}", "prompts": "[]"}
"""Kept as JSON; what stands for what an older row lacks. None lacks models: it would serve all."""


class DamagedKey(NamedTuple):
    """A row of the database that is no key: nobody gets in by it, and it can be revoked."""

    id: str
    name: str
    why: str
    revoked: bool


def require_key(key: Key) -> Key:
    """The key again. Raises: UsageError for what cannot be kept, or means nothing."""
    if key.role not in ROLES:
        raise unknown_name("role", key.role, ROLES)
    if not _is_name(key.name):
        raise UsageError("a key needs a name", hint="--name team-search")
    for tag, value in key.tags.items():
        if not (tag.isprintable() and value.isprintable()):
            raise UsageError("a tag has printable characters", hint="--tag team=search")
    values = msgspec.structs.asdict(key)
    misfit = misfit_of(values, Key)
    if misfit is not None:
        raise UsageError(f"no key can have this: {misfit.told}", hint=misfit.hint)
    return msgspec.convert(values, Key)


def _is_name(name: str) -> bool:
    return bool(name.strip()) and name.isprintable() and len(name) <= NAME_MOST


def row_of(key: Key) -> tuple[object, ...]:
    """In the order of COLUMNS."""
    values = msgspec.structs.asdict(key)
    for name in LISTED:
        values[name] = json.dumps(values[name])
    return tuple(values.values())


def key_of(row: Sequence[object]) -> Key | DamagedKey:
    """Rows are written by older versions too, and by hands."""
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))  # Any: SQLite
    try:
        for name, lacking in LISTED.items():
            kept = values[name]
            values[name] = json.loads(lacking if kept is None else kept)
        misfit = misfit_of(values, Key)
        if misfit is None:
            return msgspec.convert(values, Key)
        why = misfit.told
    except (ValueError, TypeError, RecursionError):
        why = "models, prompts or tags: no JSON"
    shown = str(values["name"])[:NAME_MOST]
    return DamagedKey(str(values["id"]), shown, why, values["revoked"] is not None)
