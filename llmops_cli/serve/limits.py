"""Requests and tokens a minute, and streams at once: a bucket for each key, refilled all the time."""

from __future__ import annotations

import time

import msgspec

from llmops_cli.serve.keys import Key

MINUTE_S = 60.0


class _Bucket(msgspec.Struct):
    left: float
    at: float

    def refill(self, most: float, now: float) -> None:
        self.left = min(most, self.left + (now - self.at) * most / MINUTE_S)
        self.at = now


class Verdict(msgspec.Struct, frozen=True):
    """`refused` names the limit that was reached, with the seconds to wait; `headers` tell where the key stands."""

    refused: str | None
    retry_after_s: float
    headers: list[tuple[bytes, bytes]]


class Limits:
    """Of this process. Tokens are taken from an estimate and settled when the real count is known."""

    def __init__(self) -> None:
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}
        self._streams: dict[str, int] = {}

    def take(self, key: Key, tokens: int) -> Verdict:
        """One request of that many tokens, if it may be; `give_back` must follow when it has ended."""
        now, headers = time.monotonic(), list[tuple[bytes, bytes]]()
        refused, wait = None, 0.0
        request_bucket = _bucket(self._requests, key.id, key.requests_per_minute, now)
        token_bucket = _bucket(self._tokens, key.id, key.tokens_per_minute, now)
        if key.streams is not None and self._streams.get(key.id, 0) >= key.streams:
            refused, wait = "streams", 1.0
        if request_bucket is not None and key.requests_per_minute and request_bucket.left < 1:
            refused, wait = "requests", (1 - request_bucket.left) * MINUTE_S / key.requests_per_minute
        if (
            token_bucket is not None
            and key.tokens_per_minute
            and token_bucket.left < min(tokens, key.tokens_per_minute)
        ):
            missing = min(tokens, key.tokens_per_minute) - token_bucket.left
            refused, wait = "tokens", missing * MINUTE_S / key.tokens_per_minute
        if refused is None:
            self._streams[key.id] = self._streams.get(key.id, 0) + 1
        for name, bucket, most, used in (("requests", request_bucket, key.requests_per_minute, 1),
                                         ("tokens", token_bucket, key.tokens_per_minute, tokens)):  # fmt: skip
            if bucket is not None and most:
                if refused is None:
                    bucket.left -= used
                reset = max(0.0, (most - bucket.left) * MINUTE_S / most)
                headers += [(f"x-ratelimit-limit-{name}".encode(), str(most).encode()),
                            (f"x-ratelimit-remaining-{name}".encode(), str(max(0, int(bucket.left))).encode()),
                            (f"x-ratelimit-reset-{name}".encode(), f"{reset:.1f}s".encode())]  # fmt: skip
        return Verdict(refused, wait, headers)

    def give_back(self, key: Key, *, estimated: int, used: int) -> None:
        """The request has ended with `used` tokens: what was estimated too much returns."""
        self._streams[key.id] = max(0, self._streams.get(key.id, 1) - 1)
        if key.tokens_per_minute and key.id in self._tokens:
            bucket = self._tokens[key.id]
            bucket.left = min(key.tokens_per_minute, bucket.left + estimated - used)


def _bucket(buckets: dict[str, _Bucket], name: str, most: int | None, now: float) -> _Bucket | None:
    if not most:
        return None
    bucket = buckets.setdefault(name, _Bucket(left=float(most), at=now))
    bucket.refill(most, now)
    return bucket
