"""What an answer shows of its generations: prompts repeated, the best of several, calls."""

from typing import NamedTuple

from llamacpp.server.generation import Generation, StepOutput
from llamacpp.server.responses import Echo
from llamacpp.server.sampling import TokenLogprob
from llamacpp.server.tools import ToolUse


class AnswerShape(NamedTuple):
    """`echoes`: the prompts' texts, one a choice. `choices` of each `best_of` are kept."""

    tools: ToolUse | None = None
    echoes: list[str] | None = None
    choices: int = 1
    best_of: int = 1
    shows_logprobs: bool = True

    def echo_of(self, generation: Generation) -> Echo | None:
        if self.echoes is None:
            return None
        return Echo(
            text=self.echoes[generation.index],
            first=generation.tokens[0],
            logprobs=generation.prompt_logprobs,
            is_scored=generation.scores_prompt,
        )

    def best(self, outputs: list[list[StepOutput]]) -> list[list[StepOutput]]:
        """Of every prompt's generations those whose tokens are the likeliest, best first."""
        if self.best_of == self.choices:
            return outputs
        kept: list[list[StepOutput]] = []
        for start in range(0, len(outputs), self.best_of):
            group = outputs[start : start + self.best_of]
            ordered = sorted(group, key=mean_logprob, reverse=True)
            kept += ordered[: self.choices]
        return kept


def mean_logprob(outputs: list[StepOutput]) -> float:
    picked = joined_logprobs(outputs)
    if not picked:
        return 0.0
    return sum(each.logprob for each in picked) / len(picked)


def joined_logprobs(outputs: list[StepOutput]) -> list[TokenLogprob]:
    joined: list[TokenLogprob] = []
    for output in outputs:
        joined += output.logprobs
    return joined
