"""The same pass and fail as promptfoo's own package, on its example files and on every assertion.

    npm install promptfoo            # in a folder of its own
    python benchmarks/promptfoo.py --package FOLDER [--examples FOLDER] [--sample 400] [--seed 0]

Both ask one scripted server in this process. `--examples` holds folders with promptfoo's
`promptfooconfig.yaml` as they are; without it only the second part runs: each assertion type
against each of many answers, through promptfoo's `echo` provider. `--sample N` takes so many of
these pairs, of every assertion equally many (and at least one), drawn by `--seed`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ANSWERS = [
    "Yarr",
    "Ahoy, I be hungry fer some grub, arrr!",
    '{"color": "yellow", "countries": ["Ecuador", "India"]}',
    "Bonjour le monde",
    "¿Dónde está la biblioteca?",
    "An echo in the darkness.",
    "I'm sorry, but I can't help with that.",
]
TEXTS = [
    "",
    " ",
    "hello world",
    "Hello World.",
    "hello world\n",
    "the quick brown fox jumps over the lazy dog",
    "The quick brown fox jumped over lazy dogs.",
    "a b c d e f g h",
    '{"a": 1}',
    '{"a": "x", "b": [1, 2, 3]}',
    "[1, 2, 3]",
    "42",
    "true",
    "null",
    'Sure: {"a": 2} and more {"b": 3}',
    '```json\n{"a": 5}\n```',
    "<a><b>1</b></a>",
    "text <a><b>1</b></a> text",
    "<a><b>1</a>",
    "<!DOCTYPE html><html><body><p>x</p></body></html>",
    "1 < 2 and 3 > 2",
    "SELECT a FROM t WHERE b = 1",
    "select * from users; drop table users",
    "Here: ```sql\nSELECT 1\n```",
    "I cannot help with that request.",
    "ünïcödé naïve 日本語",
    "line one\nline two\nline three",
    "one, two, three",
    "x" * 300,
]
ASSERTIONS = [
    {"type": "equals", "value": "hello world"},
    {"type": "equals", "value": {"a": 1}},
    {"type": "equals", "value": 42},
    {"type": "contains", "value": "world"},
    {"type": "contains", "value": 4},
    {"type": "icontains", "value": "WORLD"},
    {"type": "contains-all", "value": ["one", "two"]},
    {"type": "contains-all", "value": "one, two"},
    {"type": "contains-any", "value": ["fox", "日本"]},
    {"type": "icontains-all", "value": ["LINE", "three"]},
    {"type": "icontains-any", "value": "SELECT, AHOY"},
    {"type": "starts-with", "value": "hello"},
    {"type": "regex", "value": "^h.*d$"},
    {"type": "regex", "value": "\\d+"},
    {"type": "regex", "value": "(?<word>fox)"},
    {"type": "regex", "value": "fox(?! jumped)"},
    {"type": "is-json"},
    {"type": "is-json", "value": {"type": "object", "required": ["a"]}},
    {"type": "is-json", "value": "{type: object, properties: {a: {type: number}}}"},
    {"type": "contains-json"},
    {
        "type": "contains-json",
        "value": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
    },
    {"type": "is-xml"},
    {"type": "is-xml", "value": {"requiredElements": ["a.b"]}},
    {"type": "is-xml", "value": "a.c"},
    {"type": "contains-xml"},
    {"type": "is-html"},
    {"type": "contains-html"},
    {"type": "is-sql"},
    {"type": "contains-sql"},
    {"type": "is-refusal"},
    {"type": "levenshtein", "value": "hello world"},
    {"type": "levenshtein", "value": "hello world", "threshold": 0},
    {"type": "rouge-n", "value": "the quick brown fox jumps over the lazy dog", "threshold": 0.6},
    {"type": "bleu", "value": "the quick brown fox jumps over the lazy dog", "threshold": 0.3},
    {"type": "bleu", "value": ["a b c d e f g h", "hello world"]},
    {"type": "gleu", "value": "the quick brown fox jumps over the lazy dog", "threshold": 0.3},
    {"type": "meteor", "value": "the quick brown fox jumps over the lazy dog", "threshold": 0.5},
    {"type": "word-count", "value": 2},
    {"type": "word-count", "value": {"min": 2, "max": 8}},
    {"type": "word-count", "value": {"min": 9}},
    {"type": "tool-call-f1", "value": ["get_weather"], "threshold": 0.5},
]


class Scripted(BaseHTTPRequestHandler):
    """Answers that hang on the question alone."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = _embeddings(body) if self.path.endswith("/embeddings") else _chat(body)
        self._send(reply)

    def do_GET(self) -> None:
        self._send({"data": [{"id": "scripted"}]})

    def _send(self, reply: object) -> None:
        raw = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


def _chat(body: dict) -> dict:
    asked = json.dumps(body["messages"], ensure_ascii=False)
    message: dict = {"role": "assistant", "content": None}
    reason = "stop"
    if body.get("tools"):
        arguments = json.dumps({"location": "Boston, MA"})
        function = {"name": "get_current_weather", "arguments": arguments}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        reason = "tool_calls"
    elif ("rubric" in asked.lower() and '\\"pass\\"' in asked) or "pass:" in asked:
        message["content"] = json.dumps({"reason": "as scripted", "pass": True, "score": 1})
    else:
        number = int(hashlib.sha256(asked.encode()).hexdigest(), 16)
        message["content"] = ANSWERS[number % len(ANSWERS)]
    return {
        "id": "1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def _embeddings(body: dict) -> dict:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows = []
    for index, text in enumerate(texts):
        letters = [0.0] * 26
        for char in text.lower():
            if "a" <= char <= "z":
                letters[ord(char) - 97] += 1
        rows.append({"index": index, "embedding": letters})
    return {"data": rows, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--examples", type=Path)
    parser.add_argument("--sample", type=int, help="Pairs of assertion and text; all without it.")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    promptfoo = arguments.package / "node_modules/.bin/promptfoo"
    if arguments.examples:
        for config in sorted(arguments.examples.glob("*/promptfooconfig.yaml")):
            compare_example(config, promptfoo, url)
    compare_assertions(promptfoo, url, most=arguments.sample, seed=arguments.seed)


def compare_example(config: Path, promptfoo: Path, url: str) -> None:
    theirs = run_promptfoo(config, promptfoo, url)
    ours = run_ours(config, url)
    name = config.parent.name
    if isinstance(ours, str):
        print(f"{name}: {ours}")
        return
    if isinstance(theirs, str):
        print(f"{name}: promptfoo: {theirs}")
        return
    same = 0
    differing = []
    unsupported = 0
    for key, parts in theirs.items():
        own = dict(ours.get(key, []))
        for kind, passed in parts:
            if kind not in own:
                unsupported += 1
            elif own[kind] == passed:
                same += 1
            else:
                differing.append((key, kind, passed, own[kind]))
    cells = f"{len(theirs)} answers of promptfoo's, {len(ours)} of ours"
    print(
        f"{name}: {cells}; {same} assertions alike, {len(differing)} differ, "
        f"{unsupported} are named as unsupported"
    )
    for each in differing[:10]:
        print(f"   {each}")


def run_promptfoo(config: Path, promptfoo: Path, url: str) -> dict | str:
    """(prompt label's number, model, case's values) -> [(assertion with its value, passed)]."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "sk-scripted",
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
            "PROMPTFOO_SELF_HOSTED": "1",
            "PROMPTFOO_CONFIG_DIR": folder,
        }
        argv = [
            str(promptfoo),
            "eval",
            "-c",
            str(config),
            "--no-cache",
            "--no-write",
            "-j",
            "16",
            "-o",
            str(out),
            "--no-table",
        ]
        done = subprocess.run(
            [*argv, "--no-progress-bar"],
            check=False,
            env=environment,
            cwd=config.parent,
            capture_output=True,
            text=True,
        )
        if not out.exists():
            return (done.stderr or done.stdout).strip().splitlines()[-1][:200]
        found: dict = {}
        rows = json.loads(out.read_text())["results"]["results"]
        providers = len({row["provider"]["id"] for row in rows})
        prompts = (max(row["promptIdx"] for row in rows) + 1) // providers
        for row in rows:
            model = row["provider"]["id"].rpartition(":")[2]
            key = (row["promptIdx"] % prompts, model, json.dumps(row["vars"], sort_keys=True))
            grading = row.get("gradingResult") or {}
            parts = []
            for part in grading.get("componentResults") or []:
                assertion = part.get("assertion") or {}
                if assertion.get("type"):
                    parts.append((_name(assertion["type"], len(parts)), bool(part["pass"])))
            found[key] = parts
        return found


def run_ours(config: Path, url: str) -> dict | str:
    from llmops_cli.prompt.case_file.read import read_suite

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        argv = [sys.executable, "-m", "llmops_cli", "prompt", "eval", str(config), "--url", url]
        argv += ["--judge-url", url, "--judge-model", "judge", "--embedding-model", "e"]
        argv += ["--price-in", "0.1", "--price-out", "0.1", "-o", str(out)]
        first = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=config.parent)
        if not (out / "outcomes.jsonl").exists():
            argv.append("--skip-unsupported")
            again = subprocess.run(
                argv, check=False, capture_output=True, text=True, cwd=config.parent
            )
            if not (out / "outcomes.jsonl").exists():
                return (first.stderr or again.stderr).splitlines()[0][:300]
        suite = read_suite(config)
        report = json.loads((out / "report.json").read_text())
        models = list(dict.fromkeys(cell["model"] for cell in report["cells"]))
        prompts = list(dict.fromkeys(cell["prompt"] for cell in report["cells"]))
        found: dict = {}
        for line in (out / "outcomes.jsonl").read_text().splitlines():
            outcome = json.loads(line)
            number = outcome["number"]
            prompt = number % len(prompts)
            case = number // len(prompts) % len(suite.cases)
            model = models[number // len(prompts) // len(suite.cases)]
            values = json.dumps(suite.cases[case].variables, sort_keys=True)
            positions = _positions(config, suite.cases[case])
            parts = []
            for place, part in zip(positions, outcome["score"].get("parts", []), strict=False):
                parts.append((_name(part["name"], place), part["passed"]))
            found[prompt, model, values] = parts
        return found


def _name(kind: str, place: int) -> str:
    return f"{place}:{kind}"


def _positions(config: Path, case: object) -> list[int]:
    """Where each of our assertions stands among all that the file lists for its case."""
    lines, default = _listed(config)
    places = []
    for number, check in enumerate(case.all_checks()):  # type: ignore[attr-defined]
        line = int(check.where.rpartition(":")[2])
        if config.name in check.where and line in lines:
            places.append(lines[line] + default)
        else:
            places.append(number)
    return places


@lru_cache(maxsize=8)
def _listed(config: Path) -> tuple[dict[int, int], int]:
    """Numbers of assertions by their lines, and how many every case has by default."""
    lines = {}
    top = yaml.compose(config.read_text())
    for key, value in top.value:
        if key.value == "tests" and hasattr(value, "value") and isinstance(value.value, list):
            for test in value.value:
                for name, inner in getattr(test, "value", []):
                    if name.value == "assert":
                        for number, item in enumerate(inner.value):
                            lines[item.start_mark.line + 1] = number
    default = sum(
        len(inner.value)
        for key, value in top.value
        if key.value == "defaultTest"
        for name, inner in value.value
        if name.value == "assert"
    )
    return lines, default


def sampled(assertions: int, *, most: int | None, seed: int) -> list[tuple[int, int]]:
    """Numbers of texts and assertions: of each assertion as many texts, in the order of texts."""
    if most is None:
        return [(text, each) for text in range(len(TEXTS)) for each in range(assertions)]
    chance = random.Random(seed)
    each_has = min(len(TEXTS), max(1, most // assertions))
    pairs = [
        (text, each)
        for each in range(assertions)
        for text in chance.sample(range(len(TEXTS)), each_has)
    ]
    return sorted(pairs)


def compare_assertions(promptfoo: Path, url: str, *, most: int | None, seed: int) -> None:
    """Each type against texts, as `echo` gives them back; a case of its own for each."""
    both = [*ASSERTIONS]
    for each in ASSERTIONS:
        both.append({**each, "type": f"not-{each['type']}"})
    tests = []
    for text_number, number in sampled(len(both), most=most, seed=seed):
        text = TEXTS[text_number]
        values = {"text": text, "id": f"{text_number}/{number}"}
        tests.append({"vars": values, "assert": [both[number]], "providerOutput": text})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "promptfooconfig.yaml"
        suite = {"prompts": ["{{text}}"], "providers": ["echo"], "tests": tests}
        config.write_text(yaml.dump(suite, Dumper=Plain, allow_unicode=True, sort_keys=False))
        theirs = by_id(run_promptfoo(config, promptfoo, url))
        ours = by_id(run_ours(config, url))
    kinds: dict[str, list[int]] = {}
    differing: dict[str, list[str]] = {}
    for name, passed in theirs.items():
        text_number, number = map(int, name.split("/"))
        kind = both[number]["type"].removeprefix("not-")
        counts = kinds.setdefault(kind, [0, 0])
        counts[1] += 1
        if ours.get(name) == passed:
            counts[0] += 1
            continue
        assertion = json.dumps(both[number], ensure_ascii=False)
        words = (
            f"{assertion} on {TEXTS[text_number][:60]!r}: theirs {passed}, ours {ours.get(name)}"
        )
        differing.setdefault(kind, []).append(words)
    alike = sum(counts[0] for counts in kinds.values())
    total = sum(counts[1] for counts in kinds.values())
    whole = [kind for kind in kinds if kind not in differing]
    print(
        f"assertions: {alike} of {total} verdicts alike; {len(whole)} of {len(kinds)} types in all"
    )
    for kind, words in differing.items():
        print(f" {kind}: {len(words)} of {kinds[kind][1]} differ")
        for each in words[:6]:
            print(f"   {each}")


class Plain(yaml.SafeDumper):
    """Without anchors for what stands in many places."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def by_id(found: dict | str) -> dict[str, bool]:
    """Whether each case passed, by its variable `id`; one without a verdict did not."""
    if isinstance(found, str):
        raise SystemExit(found)
    passed = {}
    for key, parts in found.items():
        name = json.loads(key[2])["id"]
        passed[name] = bool(parts) and all(part[1] for part in parts)
    return passed


if __name__ == "__main__":
    main()
