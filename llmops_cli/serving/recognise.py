"""Which server answers at a URL, from what it says of itself. At most three small requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from llmops_cli.engines import ENGINES, Signature, load_engine
from llmops_cli.runtime.http import Http

TIMEOUT_S = 3.0
Json = dict[str, Any]  # Any: each server's own fields


def served_model(url: str, http: Http) -> str | None:
    """The first model that the server lists."""
    text = http.get_text(f"{url}/v1/models", timeout_s=10)
    try:
        return str(msgspec.json.decode(text or "")["data"][0]["id"])
    except (msgspec.DecodeError, KeyError, IndexError, TypeError):
        return None


def recognise(http: Http, url: str) -> str | None:
    """A name and, where the server tells it, a version; None for a server that we do not know."""
    owners = _owners(_get(http, f"{url}/v1/models"))
    for signature in _signatures():
        if owners.intersection(signature.owned_by):
            return _named(signature, http, url)
    info = _get(http, f"{url}/info")
    for signature in _signatures():
        if _shows(signature, info):
            return _named(signature, http, url)
    return None


def _shows(signature: Signature, info: Json) -> bool:
    return any(
        key in info and wanted in (None, info[key]) for key, wanted in signature.info.items()
    )


def _signatures() -> Iterator[Signature]:
    for name in ENGINES:
        yield from load_engine(name).facts.signatures


def _owners(models: Json) -> set[str]:
    entries = models.get("data")
    if not isinstance(entries, list):
        return set()
    return {str(entry.get("owned_by")) for entry in entries if isinstance(entry, dict)}


def _named(signature: Signature, http: Http, url: str) -> str:
    if signature.version_path is None:
        return signature.name
    found = _get(http, url + signature.version_path)
    version = found.get("version") or found.get("build_info") or ""
    return f"{signature.name} {version}".strip()


def _get(http: Http, url: str) -> Json:
    try:
        loaded = msgspec.json.decode(http.get_text(url, timeout_s=TIMEOUT_S) or "{}")
    except msgspec.DecodeError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
