"""Which of the drawn JSON schemas we answer, beside llama.cpp's own converter, in one run.

    python benchmarks/schemas.py [--count 2000] [--seed 0]

The peer is the Python port of llama.cpp's converter (llama_cpp.llama_grammar): it passes over
keywords that it does not know, so that its answers may be invalid. Prints each side's number, the
share of theirs that ours answers, and our reasons for the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from llama_cpp.llama_grammar import json_schema_to_gbnf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "llmops_cli" / "workers"))
from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import SchemaTask
from _shared.grammars.nodes import GrammarError
from tests.drawn_schemas import drawn_schema


class Answered(NamedTuple):
    """Whether each side makes a grammar of a schema; `reason`: what ours says if it does not."""

    by_peer: bool
    reason: str | None


def answered(schema: dict[str, Any]) -> Answered:
    return Answered(by_peer(schema), reason_of(schema))


def by_peer(schema: dict[str, Any]) -> bool:
    """It ends in errors of any kind for what it does not read."""
    try:
        json_schema_to_gbnf(json.dumps(schema))
    except Exception:
        return False
    return True


def reason_of(schema: dict[str, Any]) -> str | None:
    try:
        made_here(SchemaTask(schema))
    except GrammarError as error:
        return str(error)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = [answered(drawn_schema(number, seed=args.seed)) for number in range(args.count)]
    theirs = [row for row in rows if row.by_peer]
    both = [row for row in theirs if row.reason is None]
    ours = [row for row in rows if row.reason is None]
    print(f"{args.count} schemas: llama.cpp's converter {len(theirs)}, ours {len(ours)}")
    print(f"of its {len(theirs)} ours answers {len(both)} = {len(both) / len(theirs):.1%}")
    reasons = Counter(row.reason for row in theirs if row.reason is not None)
    for reason, count in reasons.most_common():
        print(f"  {count:5d}  {reason}")


if __name__ == "__main__":
    main()
