"""Cases by names that hold from run to run, so that saved runs can be paired by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from llmops_cli.core.report import Json

DIGEST_CHARS = 12


class NamedCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`digest`: of all that decides what is asked and what is right, not of where it stands.

    It is empty where nobody knows it.
    """

    name: str
    digest: str


def named_cases(titles: Sequence[str], digests: Sequence[str]) -> list[NamedCase]:
    """No two with one name: a title that several have gets their digests, and then numbers."""
    shorts = [each.removeprefix("sha256:")[:DIGEST_CHARS] for each in digests]
    counts = Counter(titles)
    names = []
    for title, digest in zip(titles, shorts, strict=True):
        names.append(title if counts[title] == 1 else f"{title} #{digest}")
    seen: Counter[str] = Counter()
    found = []
    for name, digest in zip(names, shorts, strict=True):
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(NamedCase(name=f"{name}{again}", digest=digest))
    return found


def without_digest(case: Json) -> Json:
    """A saved one whose digest was made in another way, and so tells nothing beside today's."""
    return {**case, "digest": ""}
