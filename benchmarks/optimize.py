"""`llmops prompt optimize` beside gepa and DSPy: one task, one budget, the same proposer.

    python -m venv peers && peers/bin/pip install dspy gepa
    python benchmarks/optimize.py --peers peers/bin/python [--budget 300]

Scripted servers answer and propose, so the truth is known. In `better` the proposer finds a prompt
that is right on everything; in `overfit` one that is right on training and validation cases alone;
in `chance` no prompt is better than another, and answers are right by luck. A peer gets the same
training and validation cases; what each returns is asked the test cases, which none has seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CASES = 120
SEED = "Add one."
PLANTED = "Count on your fingers, one by one."
LEARNT = "Remember what you were taught."
USELESS = ("Answer as a poet would.", "Be brief.", "Think of a large number first.")
NUMBER = re.compile(r"add (\d+) and 1")
SPLIT = {"train": 0.4, "validation": 0.2}


def answer_of(number: int) -> str:
    return f"<{number + 1}>"


class World:
    """Counts calls; `seen`: numbers that a search may look at."""

    def __init__(self, name: str, seen: set[int]) -> None:
        self.name = name
        self._seen = seen
        self.asked = 0
        self.proposed = 0
        self._lock = threading.Lock()

    def answer(self, text: str) -> str:
        with self._lock:
            self.asked += 1
        number = int(NUMBER.findall(text)[-1])
        right = answer_of(number) if self._is_right(text, number) else "<0>"
        if "[[ ## answer ## ]]" in text:
            return f"[[ ## answer ## ]]\n{right}\n\n[[ ## completed ## ]]"
        return right

    def _is_right(self, text: str, number: int) -> bool:
        if self.name == "chance":
            instruction = next((each for each in USELESS if each in text), SEED)
            digest = hashlib.sha256(f"{instruction} {number}".encode()).digest()
            return digest[0] < 256 * 0.6
        if self.name == "better" and PLANTED in text:
            return True
        if self.name == "overfit" and LEARNT in text:
            return number % 2 == 0 or number in self._seen
        return number % 2 == 0

    def proposal(self, asked: str) -> str:
        """In the form that gepa asks for, or DSPy."""
        text = self._proposed()
        if "`new_instruction`" in asked:
            return json.dumps({"new_instruction": text})
        return f"```\n{text}\n```"

    def _proposed(self) -> str:
        with self._lock:
            self.proposed += 1
            turn = self.proposed
        good = {"better": PLANTED, "overfit": LEARNT}.get(self.name)
        if good is not None and turn % 3 == 0:
            return good
        return USELESS[turn % len(USELESS)]


def serving(say: Callable[[str], str]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = "\n".join(str(each["content"]) for each in body["messages"])
            message = {"role": "assistant", "content": say(text)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            self._send(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "model": "m",
                    "created": 0,
                    "choices": [choice],
                    "usage": usage,
                }
            )

        def do_GET(self) -> None:
            self._send({"data": [{"id": "m"}]})

        def _send(self, payload: object) -> None:
            raw = json.dumps(payload).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def url_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def splits() -> dict[str, list[int]]:
    """As the command itself splits these cases."""
    from llmops_cli.prompt.optimize.splits import place_of, split_of

    found: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for number in range(CASES):
        place = place_of({"a": number, "right": answer_of(number)})
        found[split_of(place, **SPLIT)].append(number)
    return found


def cases_file(folder: Path) -> Path:
    prompt = [{"role": "system", "content": SEED}, {"role": "user", "content": "add {{a}} and 1"}]
    (folder / "prompt.json").write_text(json.dumps(prompt))
    tests = [{"vars": {"a": each, "right": answer_of(each)}} for each in range(CASES)]
    check = {"assert": [{"type": "equals", "value": "{{right}}"}]}
    path = folder / "cases.json"
    path.write_text(json.dumps({"prompts": [], "defaultTest": check, "tests": tests}))
    return path


def ours(world: World, budget: int, folder: Path, *, writes: bool) -> dict[str, object]:
    model = serving(world.answer)
    teacher = serving(world.proposal)
    argv = [sys.executable, "-m", "llmops_cli", "prompt", "optimize", str(cases_file(folder))]
    argv += ["--prompt", str(folder / "prompt.json"), "--url", url_of(model), "--model", "m"]
    argv += ["--budget-calls", str(budget), "--json", "-o", str(folder / "out")]
    if writes:
        argv += ["--proposer", "m", "--proposer-url", url_of(teacher)]
    else:
        texts = [*USELESS, {"better": PLANTED, "overfit": LEARNT}.get(world.name, "Be exact.")]
        argv += [word for text in texts for word in ("--instruction", text)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    report = json.loads(run.stdout)
    kept = report["best"] if report["accepted"] else report["base"]
    return {
        "claims": report["accepted"],
        "train": report["best"]["train"],
        "test": kept["test"] if kept["test"] is not None else report["base"]["test"],
        "base": report["base"]["test"],
    }


def theirs(
    name: str, python: str, world: World, budget: int, parts: dict[str, list[int]]
) -> dict[str, object]:
    model = serving(world.answer)
    teacher = serving(world.proposal)
    argv = [python, __file__, "--peer", name, url_of(model), url_of(teacher), str(budget)]
    run = subprocess.run([*argv, json.dumps(parts)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    found: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    calls = (world.asked, world.proposed)
    text = found["instruction"]
    test = parts["test"]
    found["base"] = _rate(world, SEED, test)
    found["test"] = _rate(world, str(text), test)
    found["claims"] = text != SEED
    world.asked, world.proposed = calls
    return found


def _rate(world: World, instruction: str, numbers: list[int]) -> float:
    right = [world.answer(f"{instruction}\nadd {n} and 1") == answer_of(n) for n in numbers]
    return sum(right) / len(right)


def peer(name: str, model: str, teacher: str, budget: int, parts: dict[str, list[int]]) -> None:
    """In the peers' environment."""
    search = {"gepa": _gepa_alone, "dspy": _dspy_gepa}[name]
    print(json.dumps(search(model, teacher, budget, parts)))


def _asked(url: str, messages: list[dict[str, str]]) -> str:
    from urllib.request import Request, urlopen

    raw = json.dumps({"model": "m", "messages": messages}).encode()
    request = Request(f"{url}/v1/chat/completions", raw, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as reply:
        text: str = json.load(reply)["choices"][0]["message"]["content"]
    return text


def _gepa_alone(
    model: str, teacher: str, budget: int, parts: dict[str, list[int]]
) -> dict[str, object]:
    import gepa

    class Silent:
        def log(self, message: str) -> None:
            pass

    def rows(numbers: list[int]) -> list[dict[str, object]]:
        return [
            {"input": f"add {n} and 1", "answer": answer_of(n), "additional_context": {}}
            for n in numbers
        ]

    found = gepa.optimize(
        seed_candidate={"system_prompt": SEED},
        trainset=rows(parts["train"]),
        valset=rows(parts["validation"]),
        task_lm=lambda messages: _asked(model, messages),
        reflection_lm=lambda text: _asked(teacher, [{"role": "user", "content": str(text)}]),
        max_metric_calls=budget,
        logger=Silent(),
    )
    best = found.val_aggregate_scores[found.best_idx]
    return {"instruction": found.best_candidate["system_prompt"], "train": best}


def _dspy_gepa(
    model: str, teacher: str, budget: int, parts: dict[str, list[int]]
) -> dict[str, object]:
    import logging

    import dspy

    logging.disable(logging.CRITICAL)
    lm = dspy.LM("openai/m", api_base=f"{model}/v1", api_key="x", cache=False)
    reflection = dspy.LM("openai/m", api_base=f"{teacher}/v1", api_key="x", cache=False)
    dspy.configure(lm=lm)

    def rows(numbers: list[int]) -> list[object]:
        return [
            dspy.Example(question=f"add {n} and 1", answer=answer_of(n)).with_inputs("question")
            for n in numbers
        ]

    def metric(gold: object, pred: object, *_: object, **__: object) -> float:
        return float(gold.answer == pred.answer)

    program = dspy.Predict(dspy.Signature("question -> answer", SEED))
    search = dspy.GEPA(metric=metric, max_metric_calls=budget, reflection_lm=reflection)
    best = search.compile(program, trainset=rows(parts["train"]), valset=rows(parts["validation"]))
    return {"instruction": best.signature.instructions, "train": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="a Python that has gepa and dspy")
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--peer", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        name, model, teacher, budget, parts = asked.peer
        peer(name, model, teacher, int(budget), json.loads(parts))
        return
    parts = splits()
    seen = {*parts["train"], *parts["validation"]}
    sizes = ", ".join(f"{name} {len(each)}" for name, each in parts.items())
    print(f"{CASES} cases ({sizes}), budget {asked.budget} calls")
    print(
        f"{'world':8} {'tool':22} {'claims better':14} {'base':>5} {'kept':>5}  calls + proposals"
    )
    for world_name in ("better", "overfit", "chance"):
        tools: dict[str, Callable[[World, Path], dict[str, object]]] = {
            "ours": lambda world, folder: ours(world, asked.budget, folder, writes=False),
            "ours, --proposer": lambda world, folder: ours(
                world, asked.budget, folder, writes=True
            ),
        }
        for name in ("gepa", "dspy") if asked.peers else ():
            tools[f"{name} alone"] = lambda world, _, name=name: theirs(
                name, asked.peers, world, asked.budget, parts
            )
        for label, run in tools.items():
            world = World(world_name, seen)
            with tempfile.TemporaryDirectory() as folder:
                found = run(world, Path(folder))
            claims = "yes" if found["claims"] else "no"
            print(
                f"{world_name:8} {label:22} {claims:14} {found['base']:5.2f} {found['test']:5.2f}"
                f"  {world.asked} + {world.proposed}"
            )


if __name__ == "__main__":
    main()
