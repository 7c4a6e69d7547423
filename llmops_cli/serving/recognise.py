"""Which server answers at a URL, from what it says of itself. At most three small requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.engines import ENGINES, Signature, load_engine
from llmops_cli.runtime.http import Http

TIMEOUT_S = 3.0
Json = dict[str, Any]  # Any: each server's own fields


def served_model(url: str, http: Http) -> str | None:
    """The first model that the server lists."""
    text = http.get_text(f"{url}/v1/models", timeout_s=10)
    try:
        models = msgspec.json.decode(text or "")
        first = models["data"][0]
        return str(first["id"])
    except (*UNREADABLE, KeyError, IndexError, TypeError):
        return None


def recognise(http: Http, url: str) -> str | None:
    """A name and, where the server tells it, a version; None for a server that we do not know."""
    models = _get(http, f"{url}/v1/models")
    owners = _owners(models)
    for signature in _signatures():
        if owners.intersection(signature.owned_by):
            return _named(signature, http, url)
    info = _get(http, f"{url}/info")
    for signature in _signatures():
        if _shows(signature, info):
            return _named(signature, http, url)
    return None


def _shows(signature: Signature, info: Json) -> bool:
    for key, wanted in signature.info.items():
        if key not in info:
            continue
        if wanted is None or wanted == info[key]:
            return True
    return False


def _signatures() -> Iterator[Signature]:
    for name in ENGINES:
        yield from load_engine(name).facts.signatures


def _owners(models: Json) -> set[str]:
    entries = models.get("data")
    if not isinstance(entries, list):
        return set()
    owners = set()
    for entry in entries:
        if isinstance(entry, dict):
            owner = str(entry.get("owned_by"))
            owners.add(owner)
    return owners


def _named(
    signature: Signature,
    http: Http,
    url: str,
) -> str:
    if signature.version_path is None:
        return signature.name
    found = _get(http, url + signature.version_path)
    version = found.get("version") or found.get("build_info") or ""
    return f"{signature.name} {version}".strip()


def _get(http: Http, url: str) -> Json:
    text = http.get_text(url, timeout_s=TIMEOUT_S)
    try:
        loaded = msgspec.json.decode(text or "{}")
    except UNREADABLE:
        return {}
    if not isinstance(loaded, dict):
        return {}
    return loaded
