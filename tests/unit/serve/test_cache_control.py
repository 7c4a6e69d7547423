"""What a client says of answers of before."""

from __future__ import annotations

import math

import pytest

from llmops_cli.serve.cache_control import ANY, BYPASS, CacheWish, wish_of

ANEW = CacheWish(reads=False)


@pytest.mark.parametrize(
    ("lines", "wish"),
    [
        ([], ANY),
        (["no-cache"], ANEW),
        (["No-Cache"], ANEW),
        (["no-cache, max-age=0"], CacheWish(reads=False, max_age_s=0)),
        (["max-age=0"], CacheWish(reads=False, max_age_s=0)),
        (["max-age = 0"], CacheWish(reads=False, max_age_s=0)),
        (["max-age=60"], CacheWish(max_age_s=60)),
        (['max-age="60"'], CacheWish(max_age_s=60)),
        (["max-age=60, max-age=10"], CacheWish(max_age_s=10)),
        (["max-age=soon"], CacheWish(reads=False, max_age_s=0)),
        (["max-age=-1"], CacheWish(reads=False, max_age_s=0)),
        (["max-age"], CacheWish(reads=False, max_age_s=0)),
        (["min-fresh=5"], CacheWish(min_fresh_s=5)),
        (["min-fresh=soon"], CacheWish(min_fresh_s=math.inf)),
        (["no-store"], BYPASS),
        (["public,no-store ,x=1"], BYPASS),
        (["no-store", "max-age=60"], BYPASS._replace(max_age_s=60)),
        (["max-age=60", "no-cache"], CacheWish(reads=False, max_age_s=60)),
        (["only-if-cached"], CacheWish(only=True)),
        (['community="no-cache, no-store"'], ANY),
        (['community="a\\", no-store"'], ANY),
        (["no-cachet, xno-store, nocache"], ANY),
        (["no-transform, max-stale=60"], ANY),
        ([",,, no-cache ,"], ANEW),
        (['no-cache="set-cookie"'], ANEW),
        (["\xff\x00, no-store"], BYPASS),
    ],
)
def test_directives_are_read_as_http_says(lines: list[str], wish: CacheWish) -> None:
    assert wish_of([(b"cache-control", line.encode("latin-1")) for line in lines]) == wish


def test_our_own_header_and_the_old_one() -> None:
    assert wish_of([(b"x-llmops-cache", b"Bypass")]) == BYPASS
    assert wish_of([(b"pragma", b"no-cache")]) == ANEW
    assert wish_of([(b"pragma", b"no-cache"), (b"cache-control", b"max-age=9")]) == CacheWish(
        max_age_s=9
    )
    assert wish_of([(b"accept", b"no-store")]) == ANY
