"""The gateway's metrics: name, meaning, labels."""

from __future__ import annotations

from typing import Literal, NamedTuple

TIMES_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)

Merging = Literal["livesum", "livemin", "livemax"]
"""How the values of several workers become one."""


class CounterFamily(NamedTuple):
    text: str
    labels: tuple[str, ...] = ()


class HistogramFamily(NamedTuple):
    text: str
    buckets_s: tuple[float, ...]
    labels: tuple[str, ...] = ("model",)


class GaugeFamily(NamedTuple):
    text: str
    merging: Merging
    labels: tuple[str, ...] = ()


LABELS = {
    "route": "a path of the API; other: one that there is not",
    "model": "a name of the file, or one that an upstream lists; unlisted: any other; empty: none",
    "key": "a key's id; empty: nobody's",
    "status": "of HTTP; one without a meaning is its class, such as 2xx",
    "class": "2xx, 3xx, 4xx or 5xx",
    "direction": "input or output",
    "part": "cached, cache_write, audio_input (of input), reasoning, audio_output (of output)",
    "tag": "a tag's name that stands in the file's `tags`",
    "value": "of that tag; other: beyond 200 of them; empty: a key without the tag",
    "result": "cache: hit, miss, stale, semantic or bypass; shadow: fine, failed or skipped;"
    " lookups: fine, empty, failed or refused",
    "side": "guard: input or output; upstreams: stable, canary or shadow",
    "action": "flag, redact or block",
    "rule": "of the guard's policy; other: beyond 200 of them",
    "code": "of the refusal, as the client is told",
    "upstream": "a name of the file",
    "member": "an address of an upstream that has several, or discovers them; only those of now",
    "kind": "upstream_errors: the failure's type, such as ConnectTimeout, or the status of the"
    " answer; keys_seen: gateway (a live one of this gateway's), upstream (one that the gateway"
    " itself is sent out with), or the provider whose keys look so",
    "prompt": "one of the gateway's, NAME@VERSION; other: beyond 200 of them; empty: none",
    "verdict": "good (a score above 0.5), bad, or none (no score)",
    "stance": "refused, complied, unclear, nothing (no words) or unjudged (nobody could look)",
    "label": "of a rating; other: beyond 200 of them",
    "moment": "before or after",
    "gpu": "a card's number on this machine",
    "uuid": "of a card",
    "card": "a card's model",
    "to": "the model that stood in, or cache, or last_answer",
    "worker": "its process id",
    "version": "of llmops",
    "build": "a digest of the code",
    "config": "a digest, by which `deploy status` and the audit log name it, too",
    "digest": "of the model's files, as llmops knows them",
}
"""What a label's values are: sets that neither clients nor upstreams can make grow."""
COUNTERS = {
    "requests": CounterFamily(
        "Requests that have ended",
        ("route", "model", "key", "status"),
    ),
    "tokens": CounterFamily(
        "Tokens",
        ("model", "key", "direction"),
    ),
    "token_parts": CounterFamily(
        "Those of them with a price of their own: from a cache, into one, for thought",
        ("model", "key", "part"),
    ),
    "compression_tokens": CounterFamily(
        "Tokens of chats before and after compression, estimated from characters",
        ("model", "moment"),
    ),
    "feedback": CounterFamily(
        "Ratings that users have given",
        ("model", "prompt", "verdict"),
    ),
    "feedback_score": CounterFamily(
        "Sum of their scores, each from 0 to 1",
        ("model", "prompt"),
    ),
    "feedback_labels": CounterFamily(
        "Labels of ratings",
        ("label",),
    ),
    "cost_dollars": CounterFamily(
        "What the answers cost",
        ("model", "key"),
    ),
    "cost_dollars_by_tag": CounterFamily(
        "What the answers cost, by those tags of keys that the file names in `tags`",
        ("tag", "value"),
    ),
    "broken_answers": CounterFamily(
        "Answers that began and broke off; their status says nothing of it",
        ("model",),
    ),
    "request_seconds_by_key": CounterFamily(
        "Time of all requests",
        ("key",),
    ),
    "cache": CounterFamily(
        "Looked up in the cache",
        ("model", "result"),
    ),
    "guard": CounterFamily(
        "Decisions of the guard other than to allow",
        ("side", "action", "rule"),
    ),
    "refused": CounterFamily(
        "Requests refused before an upstream",
        ("code", "key"),
    ),
    "upstream_errors": CounterFamily(
        "Failed attempts",
        ("upstream", "kind"),
    ),
    "upstream_refusals": CounterFamily(
        "Attempts that an upstream refused for our key, its address or a model's name",
        ("upstream", "status"),
    ),
    "upstream_requests": CounterFamily(
        "Answers by who gave them",
        ("upstream", "model", "side"),
    ),
    "lookups": CounterFamily(
        "Of an upstream's members, in DNS or a file; refused: none of the addresses may be one",
        ("upstream", "result"),
    ),
    "retries": CounterFamily(
        "Second and later attempts",
        ("model",),
    ),
    "hedges": CounterFamily(
        "Second copies of a request that was slow",
        ("model",),
    ),
    "fallbacks": CounterFamily(
        "Answers of another model, or old ones",
        ("model", "to"),
    ),
    "shadow": CounterFamily(
        "Copies that nobody saw",
        ("model", "result"),
    ),
    "shadow_seconds": CounterFamily(
        "Time of those copies",
        ("model",),
    ),
    "keys_seen": CounterFamily(
        "Keys that stood in prompts and answers",
        ("kind", "direction"),
    ),
    "suspicious_answers": CounterFamily(
        "Answers to requests that the guard flagged as attacks and let through, of a sample",
        ("model", "stance"),
    ),
    "keys_unsearched": CounterFamily(
        "Requests that nobody searched for keys, since too much waited for that",
    ),
    "audit_lost": CounterFamily(
        "Lines that the audit log could not take",
    ),
}
HISTOGRAMS = {
    "ttft_seconds": HistogramFamily(
        "To the first byte of a streamed answer",
        TIMES_S,
    ),
    "tpot_seconds": HistogramFamily(
        "For each output token after the first, streamed",
        GAPS_S,
    ),
    "request_seconds": HistogramFamily(
        "Of the whole request, by the class of its status: a 429 is no latency",
        TIMES_S,
        ("model", "class"),
    ),
}
GAUGES = {
    "in_flight": GaugeFamily(
        "Requests under way",
        "livesum",
    ),
    "queued": GaugeFamily(
        "Requests that wait for a place",
        "livesum",
    ),
    "judging": GaugeFamily(
        "Requests and answers that wait for a judge or are judged",
        "livesum",
    ),
    "tasks": GaugeFamily(
        "Of the event loop",
        "livesum",
    ),
    "redis_up": GaugeFamily(
        "Whether Redis answers",
        "livemin",
    ),
    "upstream_up": GaugeFamily(
        "Whether checks or traffic say so",
        "livemin",
        ("upstream",),
    ),
    "upstream_refuses": GaugeFamily(
        "1: it did not take our key, address or name of a model in the last minute",
        "livemax",
        ("upstream",),
    ),
    "breaker": GaugeFamily(
        "0 closed, 1 half open, 2 open",
        "livemax",
        ("upstream",),
    ),
    "outstanding_tokens": GaugeFamily(
        "Being worked on",
        "livesum",
        ("upstream",),
    ),
    "members": GaugeFamily(
        "Of an upstream that discovers them, those of the last lookup that was believed",
        "livemin",
        ("upstream",),
    ),
    "lookup_ok": GaugeFamily(
        "0: who its members are could not be looked up the last time; they are those of before",
        "livemin",
        ("upstream",),
    ),
    "canary_percent": GaugeFamily(
        "Share of the new side",
        "livemax",
        ("model",),
    ),
    "guard_block_rate": GaugeFamily(
        "Share of requests blocked in the last minute",
        "livemax",
    ),
    "config_version": GaugeFamily(
        "When the version that a worker serves was read, in seconds since 1970; one for all",
        "livemax",
        ("worker",),
    ),
    "config_ok": GaugeFamily(
        "0: the file was changed and cannot be used",
        "livemin",
    ),
}
