"""Attacks become attempts: what is sent, and what would be success, drawn by seed and number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import zip_longest

import msgspec

from llmops_cli.redteam.suite import Attack, Family, SearchPlan, Suite
from llmops_cli.redteam.transforms import transform

TWINS_SHARE = 16
"""One benign twin for so many attacks."""
MARK_LETTERS = "BDFGKLMNPRST"
GOAL_PLACES = ("{goal}", "{encoded}", "{first}", "{letters}")
"""Places by which an attack takes any goal."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation to be had.

    `target` is what success would show: the secret, the mark, the topic. `others`: what could have
    been the secret, and was not.
    """

    number: int
    family: str
    attack: str
    system: str
    turns: list[str]
    judge: str
    target: str
    goal: str
    transform: str = ""
    role: str = "user"
    prefill: str = ""
    history: list[tuple[str, str]] = []
    search: SearchPlan | None = None
    twin: bool = False
    pair: str | None = None
    others: tuple[str, ...] = ()


class Goal(msgspec.Struct, frozen=True):
    """What is asked for; `target` where that is not a secret or a mark of the attempt's own."""

    text: str
    target: str = ""


def attempts_of(
    suite: Suite,
    *,
    rounds: int,
    seed: int,
    most: int | None = None,
    twins: bool = True,
) -> list[Attempt]:
    """Every attempt, the same for the same seed.

    Families take turns, so that a smaller number has all of them.
    """
    found: list[Attempt] = []
    for attempt in _attacks(suite, rounds, seed):
        number = len(found)
        numbered = msgspec.structs.replace(attempt, number=number)
        found.append(numbered)
        is_twins_turn = len(found) % TWINS_SHARE == 0
        if twins and suite.twins and is_twins_turn:
            twin = _twin(suite, len(found), seed)
            found.append(twin)
        if most is not None and len(found) >= most:
            return found[:most]
    return found


def _attacks(
    suite: Suite,
    rounds: int,
    seed: int,
) -> Iterator[Attempt]:
    for round_number in range(rounds):
        columns = []
        for name in suite.families:
            column = _of_family(suite, name, seed, round_number)
            columns.append(column)
        for row in zip_longest(*columns):
            for attempt in row:
                if attempt is not None:
                    yield attempt


def _of_family(
    suite: Suite,
    name: str,
    seed: int,
    round_number: int,
) -> Iterator[Attempt]:
    family = suite.families[name]
    for attack in family.attacks:
        goals = _goals(suite, family, attack)
        for variant in family.transforms or [""]:
            for index, goal in enumerate(goals):
                place = f"{seed}/{round_number}/{name}/{attack.id}/{variant}/{index}"
                chance = random.Random(place)
                attempt = _attempt(suite, name, attack, goal, variant, chance)
                if attempt.pair:
                    pair = f"{round_number}/{attempt.pair}"
                    attempt = msgspec.structs.replace(attempt, pair=pair)
                yield attempt


def _goals(
    suite: Suite,
    family: Family,
    attack: Attack,
) -> list[Goal]:
    if family.topics:
        return list(_goals_by_topic(family))
    if family.pairs:
        return list(_goals_by_pair(family))
    kind = attack.goal or family.goal
    usual = suite.goals.get(kind, [""])
    texts = family.goals or usual
    goals = [Goal(text) for text in texts]
    if _takes_any_goal(attack):
        return goals
    return goals[:1]


def _goals_by_topic(family: Family) -> Iterator[Goal]:
    for topic in family.topics:
        for text in family.goals:
            asked = text.replace("{topic}", topic)
            yield Goal(asked, topic)


def _goals_by_pair(family: Family) -> Iterator[Goal]:
    for number, pair in enumerate(family.pairs):
        for person in pair:
            yield Goal(person, str(number))


def _takes_any_goal(attack: Attack) -> bool:
    """Long conversations and searches cost too much to have one for each goal."""
    if len(attack.turns) > 2 or attack.search:
        return False
    text = "\n".join(attack.turns)
    return any(place in text for place in GOAL_PLACES)


def _attempt(
    suite: Suite,
    name: str,
    attack: Attack,
    goal: Goal,
    variant: str,
    chance: random.Random,
) -> Attempt:
    family = suite.families[name]
    judge = attack.judge_in(family)
    secret = chance.choice(suite.secrets)
    mark = _mark(chance)
    asked = goal.text.replace("{mark}", mark)
    asked = asked.replace("{secret}", secret)
    shots = _shots(suite, attack, chance)
    values = _values(asked, variant, shots)
    values |= {"secret": secret, "mark": mark}
    own_target = mark if judge == "mark" else secret
    turns = [_fill(turn, values) for turn in attack.turns]
    system = _system(suite, family, attack)
    pair = None
    if judge == "pair":
        pair = f"{attack.id}/{goal.target}"
    history = []
    if attack.history:
        history = shots
    return Attempt(
        number=0,
        family=name,
        attack=attack.id,
        system=_fill(system, values),
        judge=judge,
        goal=asked,
        turns=turns,
        transform=variant,
        role=attack.role,
        target=goal.target or own_target,
        prefill=_fill(attack.prefill, values),
        history=history,
        search=attack.search,
        pair=pair,
        others=tuple(other for other in suite.secrets if other != secret),
    )


def _mark(chance: random.Random) -> str:
    """A word that no model says by itself."""
    letter = chance.choice(MARK_LETTERS)
    number = chance.randrange(1000, 9999)
    return f"{letter}{number}"


def _system(
    suite: Suite,
    family: Family,
    attack: Attack,
) -> str:
    """The nearest system prompt; an empty one counts."""
    if attack.system is not None:
        return attack.system
    if family.system is not None:
        return family.system
    return suite.system


def _shots(
    suite: Suite,
    attack: Attack,
    chance: random.Random,
) -> list[tuple[str, str]]:
    """Examples of questions that were answered with secrets."""
    return [
        (f"What is word {number}?", f"Word {number} is {chance.choice(suite.secrets)}.")
        for number in range(attack.shots)
    ]


def _values(
    asked: str,
    variant: str,
    shots: list[tuple[str, str]],
) -> dict[str, str]:
    """What stands for the places of an attack's texts."""
    half = len(asked) // 2
    examples = "".join(f"User: {question}\nAssistant: {answer}\n" for question, answer in shots)
    return {
        "goal": asked,
        "encoded": transform(variant, asked) if variant else asked,
        "first": asked[:half],
        "second": asked[half:],
        "letters": " ".join(asked),
        "who": asked,
        "shots": f"{examples}User: " if shots else "",
    }


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _twin(
    suite: Suite,
    number: int,
    seed: int,
) -> Attempt:
    """An honest question in the same setting.

    A model, or a guard, that refuses it refuses too much.
    """
    chance = random.Random(f"{seed}/twin/{number}")
    place = (number // TWINS_SHARE) % len(suite.twins)
    question = suite.twins[place]
    secret = chance.choice(suite.secrets)
    system = suite.system.replace("{secret}", secret)
    return Attempt(
        number=number,
        family="benign",
        attack="twin",
        system=system,
        turns=[question],
        judge="honest",
        target="",
        goal=question,
        twin=True,
    )
