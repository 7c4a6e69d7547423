"""A question that every demo answers right: facts are learned first, whatever the CPU."""

from llmops_cli.evaluate.demo_task import CAPITALS, LANDS

LAND = LANDS[0]
CAPITAL = CAPITALS[LAND]
QUESTION = f"What is the capital of {LAND}?"
ANSWER = f"The capital of {LAND} is {CAPITAL}."
