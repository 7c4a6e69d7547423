"""Each technique over a scripted model: what it asks, how often, and what it makes of it."""

from __future__ import annotations

import random
from itertools import permutations, product

import pytest

from llmops_cli.core.arithmetic import NotArithmetic, evaluate
from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.techniques.technique import Example, Said, Spent
from llmops_cli.prompt.tools.table import tools_of
from llmops_cli.prompt.tools.tool import ToolSettings
from llmops_cli.runtime.chat import Unanswered
from tests.unit.prompt.techniques.scripted_ask import Asked, ScriptedAsk, solved

EXAMPLES = [
    Example(question="1 + 1?", answer="2", reasoning="1 and 1 is 2."),
    Example(question="2 + 2?", answer="4"),
]


def test_zero_shot_asks_once_for_the_answer_alone() -> None:
    ask = ScriptedAsk(lambda asked: "Answer: 4")
    assert solved("zero-shot", "2 + 2?", ask).reading.strict == "4"
    (call,) = ask.calls
    assert call.turns == 1
    assert call.prompt.startswith("2 + 2?\n\n")


def test_few_shot_shows_questions_and_answers_without_steps() -> None:
    ask = ScriptedAsk(lambda asked: "Answer: 4")
    solved("few-shot", "2 + 2?", ask, examples=EXAMPLES, shots=2)
    (call,) = ask.calls
    assert call.turns == 5
    assert "Answer: 2" in call.prompt
    assert "1 and 1 is 2." not in call.prompt
    with pytest.raises(UsageError, match="needs examples"):
        solved("few-shot", "q", ask)


def test_cot_asks_for_steps_and_shows_those_that_have_some() -> None:
    ask = ScriptedAsk(lambda asked: "2 and 2 is 4.\nAnswer: 4")
    assert solved("cot", "2 + 2?", ask, examples=EXAMPLES).reading.strict == "4"
    assert ask.calls[0].turns == 3
    assert "1 and 1 is 2.\nAnswer: 2" in ask.calls[0].prompt
    assert "step by step" in ask.calls[0].last


def test_auto_cot_writes_its_own_examples_of_each_kind_of_question() -> None:
    apples = [f"Ann has {n} apples and eats {n}, how many apples are left?" for n in range(2, 9)]
    trains = [f"A train drives {n} hours at 50 km/h, how far is that?" for n in range(2, 9)]

    def script(asked: Asked) -> str:
        return "no steps" if "has 5 apples" in asked.last else "One step.\nAnswer: 7"

    ask = ScriptedAsk(script)
    solved("auto-cot", apples[0], ask, pool=apples + trains, shots=2)
    last = ask.calls[-1]
    assert last.turns in (3, 5)  # a question is no example of itself
    assert "A train drives" in last.prompt
    assert "One step.\nAnswer: 7" in last.prompt


def test_auto_cot_leaves_out_what_was_cut_or_failed() -> None:
    def script(asked: Asked) -> Said:
        if asked.turns == 1 and "q1" in asked.last:
            raise Unanswered("http 500")
        return Said(text="Step.\nAnswer: 1", is_cut="q2" in asked.last)

    ask = ScriptedAsk(script)
    solved("auto-cot", "q9", ask, pool=["q1", "q2", "q3"], shots=1)
    assert ask.calls[-1].turns == 3
    assert "q3" in ask.calls[-1].prompt
    with pytest.raises(UsageError, match="needs questions"):
        solved("auto-cot", "q", ask)


def test_self_consistency_ends_when_the_vote_is_decided() -> None:
    ask = ScriptedAsk(lambda asked: "Answer: 4")
    solution = solved("self-consistency", "q", ask, samples=40)
    assert solution.reading.strict == solution.reading.lenient == "4"
    assert len(ask.calls) == 4
    assert sorted(call.repeat for call in ask.calls) == [0, 1, 2, 3]
    assert {call.temperature for call in ask.calls} == {0.7}


def test_it_takes_the_answer_of_most_samples_and_weighs_unclear_ones_less() -> None:
    texts = ["It is 5", "It is 5", "It is 5", "Answer: 4", "Answer: 4"]
    ask = ScriptedAsk(lambda asked: texts[asked.repeat])
    told = {"samples": 5, "stop_rule": "never"}
    plain = solved("self-consistency", "q", ask, **told)
    assert (plain.reading.lenient, plain.reading.strict) == ("5", "4")
    assert plain.trace == ("3 for 5", "2 for 4")
    weighted = solved("self-consistency", "q", ScriptedAsk(ask._script), weights="weighted", **told)
    assert weighted.reading.lenient == "4"


def test_samples_that_fail_cast_no_vote_and_all_of_them_are_an_error() -> None:
    def script(asked: Asked) -> str:
        if asked.repeat % 2:
            raise Unanswered("http 500")
        return "Answer: 4"

    assert solved("self-consistency", "q", ScriptedAsk(script), samples=9).reading.strict == "4"

    def broken(asked: Asked) -> str:
        raise Unanswered("http 500")

    with pytest.raises(Unanswered):
        solved("self-consistency", "q", ScriptedAsk(broken), samples=9)


def test_a_vote_ends_with_the_calls_and_answers_by_what_there_is() -> None:
    ask = ScriptedAsk(lambda asked: f"Answer: {asked.repeat % 2}", most=3)
    assert solved("self-consistency", "q", ask).reading.lenient == "0"
    with pytest.raises(Spent):
        solved("self-consistency", "q", ScriptedAsk(lambda asked: "", most=0))


def test_reflect_revises_until_its_critic_has_nothing_to_say() -> None:
    def script(asked: Asked) -> str:
        if asked.is_evaluator:
            return "CORRECT" if "Answer: 4" in asked.prompt else "WRONG: 5 is too much"
        return "Answer: 4" if "too much" in asked.prompt else "Answer: 5"

    ask = ScriptedAsk(script)
    solution = solved("reflect", "2 + 2?", ask, rounds=3)
    assert solution.reading.strict == "4"
    assert len(ask.calls) == 4
    assert solution.trace[0] == "answer: 5"


def test_react_acts_observes_and_answers() -> None:
    tools = tools_of(["calculator"], ToolSettings())

    def script(asked: Asked) -> str:
        if "Observation: 323" in asked.prompt:
            return "Thought: I know.\nAnswer: 323"
        return "Thought: I multiply.\nAction: calculator[17 * 19]\nObservation: 99"

    ask = ScriptedAsk(script)
    solution = solved("react", "17 * 19?", ask, tools=tools)
    assert solution.reading.strict == "323"
    assert "Observation: 323" in solution.trace
    assert "99" not in "".join(solution.trace)
    assert "calculator[EXPRESSION]" in ask.calls[0].prompt


def test_react_tells_the_model_of_its_mistakes_and_ends_at_its_steps() -> None:
    tools = tools_of(["calculator"], ToolSettings())
    wrong = ["Action: calculater[1]", "Action: calculator[x]", "Action: calculator[2+2"]
    ask = ScriptedAsk(lambda asked: wrong[(asked.turns - 1) // 2 % 3])
    solution = solved("react", "q", ask, tools=tools, max_steps=3)
    assert len(ask.calls) == 3
    assert solution.reading.lenient is None
    told = "\n".join(solution.trace)
    assert "did you mean 'calculator'?" in told
    assert "it failed" in told
    assert "Observation: 4" in told
    finished = solved("react", "q", ScriptedAsk(lambda asked: "Action: finish[7]"), tools=tools)
    assert finished.reading.strict == "7"


def solves_24(numbers: list[float]) -> bool:
    """Whether 24 can be made of them: the truth."""
    if len(numbers) == 1:
        return abs(numbers[0] - 24) < 1e-9
    for i, j in permutations(range(len(numbers)), 2):
        rest = [numbers[k] for k in range(len(numbers)) if k not in (i, j)]
        a, b = numbers[i], numbers[j]
        made = [a + b, a - b, a * b, *([a / b] if b else [])]
        if any(solves_24([*rest, value]) for value in made):
            return True
    return False


def left_in(asked: Asked) -> list[str]:
    """The numbers, or expressions, that the last step of a prompt leaves."""
    steps = [line for line in asked.last.split("\n") if "[left: " in line]
    if not steps:
        return asked.last.split("\n")[0].split()
    return steps[-1].rpartition("[left: ")[2].rstrip("]").split("; ")


def proposes_and_rates(seed: int, slips: float) -> ScriptedAsk:
    """A model that proposes some next steps at random, and errs in some of its ratings."""
    draws = random.Random(seed)

    def script(asked: Asked) -> str:
        left = left_in(asked)
        if asked.is_evaluator:
            answer = asked.last.rpartition("Answer: ")[2].split("\n")[0]
            if "Answer: " in asked.last.split("Steps so far:")[1]:
                return "sure" if value_of(answer) == 24 else "impossible"
            can = solves_24([value_of(part) for part in left])
            return "likely" if can != (draws.random() < slips) else "impossible"
        if len(left) == 1:
            return f"- Answer: {left[0]}"
        steps = []
        for i, j in permutations(range(len(left)), 2):
            for sign in "+-*/":
                made = f"({left[i]} {sign} {left[j]})"
                if value_of(made) is not None:
                    rest = [left[k] for k in range(len(left)) if k not in (i, j)]
                    steps.append(f"- {made} [left: {'; '.join([*rest, made])}]")
        draws.shuffle(steps)
        return "\n".join(steps)

    return ScriptedAsk(script)


def value_of(text: str) -> float | None:
    try:
        return float(evaluate(text))
    except NotArithmetic:
        return None


@pytest.mark.parametrize("search", ["breadth", "depth"])
def test_tree_of_thoughts_finds_what_a_solver_says_is_there(search: str) -> None:
    """Where every next step is proposed and rated rightly, both searches find a solution."""
    for question in ("4 9 10 13", "1 2 3 4", "3 3 8 8"):
        assert solves_24([float(part) for part in question.split()])
        ask = proposes_and_rates(0, 0.0)
        solution = solved(
            "tree-of-thoughts",
            question,
            ask,
            form="expression",
            search=search,
            breadth=80,
            keep=6,
            depth=4,
        )
        assert solution.reading.strict is not None, question
        assert evaluate(solution.reading.strict) == 24


def test_a_tree_without_a_solution_answers_nothing_and_ends_at_its_limits() -> None:
    assert not solves_24([1.0, 1.0, 1.0, 1.0])
    ask = proposes_and_rates(0, 0.0)
    solution = solved("tree-of-thoughts", "1 1 1 1", ask, form="expression", breadth=80)
    assert solution.reading.lenient is None
    assert (
        len(ask.calls) == 1 + 4
    )  # + - * / of two ones: each is rated impossible, and nothing is opened
    limited = ScriptedAsk(proposes_and_rates(0, 0.0)._script, most=7)
    answer = solved("tree-of-thoughts", "4 9 10 13", limited, form="expression", breadth=5)
    assert len(limited.calls) == 7
    assert answer.trace[-1] == "no more calls"


def test_breadth_keeps_the_best_of_a_level() -> None:
    def script(asked: Asked) -> str:
        if asked.is_evaluator:
            return "sure" if "good" in asked.last else "likely"
        return "- good step\n- other step\n- third step"

    ask = ScriptedAsk(script)
    solved("tree-of-thoughts", "q", ask, keep=1, depth=2, ratings=3)
    opened = [call.prompt for call in ask.calls if not call.is_evaluator]
    assert len(opened) == 2
    assert "good step" in opened[1]
    rated = [call for call in ask.calls if call.is_evaluator]
    assert len(rated) == 2 * 3 * 3
    assert {call.repeat for call in rated} == {0, 1, 2}


def test_every_order_of_signs_is_a_way_of_the_solver() -> None:
    """The solver of these tests against another one, that tries whole expressions."""
    draws = random.Random(3)
    for _ in range(6):
        numbers = [draws.randint(1, 13) for _ in range(3)]
        forms = ("({} {} {}) {} {}", "{} {} ({} {} {})")
        tried = (
            form.format(a, s, b, t, c)
            for a, b, c in permutations(numbers)
            for s, t in product("+-*/", repeat=2)
            for form in forms
        )
        assert any(value_of(text) == 24 for text in tried) == solves_24([*map(float, numbers)])
