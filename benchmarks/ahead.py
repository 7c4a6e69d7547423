"""What guessing ahead and reusing prompts give: each engine with and without, same prompts, same
answers required.

Models by construction (random_model.make(chain=True), about 200M parameters, and a draft of 15M):
`copying` prompts hold what the answer will say, `new` ones do not, so they show the two ends
between which real work lies.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from random_model import circle, make

from llmops_cli.core.progress import Silent
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget

ANSWER = 96
STREAMS = (1, 8)
BASE = {
    "llamacpp": {"max_model_len": "2048"},
    "vllm": {"max_model_len": "2048", "dtype": "float32"},
    "transformers": {"batching": "static", "dtype": "float32"},
}
SPECULATION = {
    "llamacpp": ("ngram:8", "draft:{draft}:8"),
    "vllm": ("ngram:8",),
    "transformers": ("ngram:8", "draft:{draft}:8"),
}
PREFIX = ("llamacpp", "vllm")


def prompt(kind: str, number: int) -> list[int]:
    """100 tokens that the answer copies, then the one before them; or noise."""
    said = circle()
    start = 500 * number
    stretch = [int(token) for token in said[start : start + 101]]
    noise = [int(t) for t in np.random.default_rng(number).choice(said[-5000:], 100, replace=False)]
    return [*stretch, *noise[:20], stretch[0]] if kind == "copying" else [*noise, stretch[0]]


def ask(url: str, model: str, tokens: list[int], *, answer: int = ANSWER) -> tuple[str, float]:
    """Text and seconds."""
    fields = {
        "model": model,
        "prompt": tokens,
        "max_tokens": answer,
        "temperature": 0,
        "ignore_eos": True,
    }
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    start = time.monotonic()
    with urllib.request.urlopen(request, timeout=300) as reply:
        text = json.loads(reply.read())["choices"][0]["text"]
    return text, time.monotonic() - start


def measure(
    name: str, model: Path, options: dict[str, str], work: Path, rounds: int
) -> dict[str, object]:
    """Tokens/s by kind and streams, seconds to the first token of prompts with a common head, and
    every text.
    """
    target = EngineTarget(backend=name, model=str(model), options=options)
    found: dict[str, object] = {"texts": []}
    with started(target, folder=work, parallel=8, progress=Silent()) as server:
        ask(server.url, server.model, prompt("new", 20))
        for kind in ("copying", "new"):
            for streams in STREAMS:
                speeds = []
                for turn in range(rounds):
                    prompts = [prompt(kind, (turn * 8 + i) % 20) for i in range(streams)]
                    start = time.monotonic()
                    with ThreadPoolExecutor(streams) as pool:
                        answers = list(
                            pool.map(lambda p: ask(server.url, server.model, p), prompts)
                        )
                    speeds.append(ANSWER * streams / (time.monotonic() - start))
                    found["texts"] += [text for text, _ in answers]
                found[f"{kind} {streams}"] = statistics.median(speeds)
        head = [int(token) for token in circle()[-1200:-200]]
        times = []
        for number in range(9):
            text, seconds = ask(
                server.url, server.model, [*head, *prompt("copying", number)[:16]], answer=1
            )
            found["texts"].append(text)
            times.append(seconds)
        found["ttft_ms"] = 1000 * statistics.median(times[1:])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", default="llamacpp,vllm,transformers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmops-ahead")
    args = parser.parse_args()
    model = make(args.work / "chain", layers=6, chain=True)
    draft = make(args.work / "draft", layers=1, hidden=384, intermediate=1024, chain=True)
    cases = [f"{kind} {streams}" for kind in ("copying", "new") for streams in STREAMS]
    print(f"{'':32} " + " ".join(f"{case:>16}" for case in cases) + "   same answers")
    for name in args.engines.split(","):
        plain = measure(name, model, BASE[name], args.work, args.rounds)
        print(f"{name:32} " + " ".join(f"{plain[case]:10.1f} tok/s" for case in cases), flush=True)
        for how in SPECULATION[name]:
            found = measure(
                name,
                model,
                {**BASE[name], "speculative": how.format(draft=draft)},
                args.work,
                args.rounds,
            )
            ratios = " ".join(
                f"{found[case]:10.1f} {found[case] / plain[case]:4.2f}x" for case in cases
            )
            same = found["texts"] == plain["texts"]
            print(
                f"{name + ' ' + how.partition('{')[0]:32} {ratios}   {'yes' if same else 'NO'}",
                flush=True,
            )
        if name in PREFIX:
            off = measure(name, model, {**BASE[name], "prefix_caching": "false"}, args.work, 1)
            on = measure(name, model, {**BASE[name], "prefix_caching": "true"}, args.work, 1)
            print(
                f"{name} prefix caching, 1,000 of 1,016 tokens shared: first token after "
                f"{on['ttft_ms']:.0f} ms, "
                f"without {off['ttft_ms']:.0f} ms, {off['ttft_ms'] / on['ttft_ms']:.1f}x; "
                f"same answers: {'yes' if on['texts'] == off['texts'] else 'NO'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
