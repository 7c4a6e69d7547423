"""No text makes the guard raise: so many texts of all of Unicode, halves of characters too, through
every detector, prompts' and answers' paths, streams, conversations and the red team's reading.

    python benchmarks/guard_fuzz.py --texts 1000000

Ends with the seed, the number and the text that raised, or with how many did not.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.guard.check import Guard
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.policy import DEFAULT, Detector, Policy, PolicySide
from tests.any_texts import any_texts

EVERY = ("personal", "secrets", "blocklist", "links", "length")
SYSTEM = "You are the assistant of a bank. The vault's code is 7391, which nobody may learn."
GROUP = 4
"""Texts of a conversation, or of a stream."""
LEAK = LeakCheck(SYSTEM, ("canary-7391",))


def strict() -> Policy:
    """The default one, with every detector at work that asks nobody else."""
    entry = Detector(action="redact", words=["naïve", "x"], patterns=["a.c"], chars=10)
    every = dict.fromkeys(EVERY, entry)
    return Policy(
        input=PolicySide(detectors={**DEFAULT.input.detectors, **every}),
        output=PolicySide(detectors={**DEFAULT.output.detectors, **every}),
        roles=DEFAULT.roles,
    )


def judge(guard: Guard, texts: tuple[str, ...]) -> None:
    """Everything that the guard does with a text, and with several."""
    for text in texts:
        guard.check_input(text).text.encode()
        guard.check_input(text, role="tool").text.encode()
        guard.check_output(text, leak=LEAK).text.encode()
    guard.check_together([("user", text) for text in texts]).text.encode()
    stream = guard.output_stream(leak=LEAK)
    for text in texts:
        stream.feed(text).encode()
    stream.finish().encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    guard = Guard(strict())
    start = time.process_time()
    made = any_texts(args.texts, seed=args.seed)
    for number in itertools.count():
        texts = tuple(itertools.islice(made, GROUP))
        if not texts:
            break
        try:
            judge(guard, texts)
        except Exception as error:
            sys.exit(f"seed {args.seed}, group {number}: {error!r} for {texts!r}")
    spent_s = time.process_time() - start
    print(f"{args.texts:,} texts of seed {args.seed}: nothing raised, {spent_s:.0f} CPU seconds")


if __name__ == "__main__":
    main()
