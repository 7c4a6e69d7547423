"""A run that may be stopped, killed, or go wrong: what stands around its loop.

One `Safety` is made when model, data and strategy stand; it resumes, judges each step, saves when
that is due, and tells what goes wrong in the words of the user.
"""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from _shared.protocol import Events, JobError, Json
from train import loop
from train.checkpoints.checkpoints import Checkpoints, Keeper, Run
from train.checkpoints.folder import ROOT
from train.checkpoints.space import check_space
from train.lock import claim
from train.loop import Decision, Position, Step, Verdict, Watcher
from train.notices import Notices
from train.ranks import Ranks, gather_values, most_of
from train.settings import Settings
from train.stop_signals import StopSignals
from train.watch.heartbeat import Heartbeat
from train.watch.logs import keep_log
from train.watch.memory import is_out_of_memory, what_helps
from train.watch.metrics import StepFiles, step_files
from train.watch.monitor import Monitor
from train.watch.spikes import Spikes

LOGS = "logs"
MOST_ROLLBACKS = 5
"""To one checkpoint; then the data are not what is wrong."""
DID = {
    Verdict.SKIP: "its gradients are not used",
    Verdict.ROLL_BACK: "back to the last whole checkpoint, without the rows since then",
    Verdict.STOP: "the run ends",
}
VERDICTS = {"skip": Verdict.SKIP, "rollback": Verdict.ROLL_BACK, "stop": Verdict.STOP}


class Surroundings:
    """What there is before model and data: the lock, signals, this rank's log and heartbeat."""

    def __init__(self, output: Path, ranks: Ranks, settings: Settings, events: Events) -> None:
        self.output = output
        self.ranks = ranks
        self.settings = settings
        self.notices = Notices(events)
        self.signals = StopSignals()
        self.lock = _claimed(output, ranks)
        logs = output / LOGS
        if ranks.world_size > 1:
            keep_log(logs, ranks.rank)
        self.heartbeat = Heartbeat(logs, ranks.rank)
        gather_values(ranks, None)  # everybody has a heart that beats before anybody looks
        self.monitor = Monitor(logs, ranks, settings)
        self.step = 0

    def phase(self, number: int, name: str) -> None:
        self.step = number
        self.heartbeat.phase(number, name)

    def end(self) -> None:
        self.monitor.end()
        self.heartbeat.end(self.step)
        if self.lock is not None:
            self.lock.close()


def _claimed(output: Path, ranks: Ranks) -> IO[str] | None:
    """The first rank's lock; the refusal is everybody's."""
    lock = None
    error = None
    if ranks.is_first:
        try:
            lock = claim(output)
        except JobError as refused:
            error = refused
    refusals = [each for each in gather_values(ranks, _parts(error)) if each]
    if refusals:
        raise JobError(*refusals[0])
    return lock


def _parts(error: JobError | None) -> tuple[str, str, str | None] | None:
    return None if error is None else (error.kind, error.message, error.hint)


@contextmanager
def surrounded(
    output: Path,
    ranks: Ranks,
    settings: Settings,
    events: Events,
) -> Iterator[Surroundings]:
    """The surroundings of a run, and every failure inside in words that help."""
    around = Surroundings(output, ranks, settings, events)
    try:
        yield around
    except JobError:
        raise
    except Exception as error:
        known = _explained(error, around)
        if known is None:
            raise
        raise known from error
    finally:
        around.end()


def _explained(error: Exception, around: Surroundings) -> JobError | None:
    """Out of memory, or another rank's death, of which this one's collective only failed."""
    if is_out_of_memory(error):
        message = f"rank {around.ranks.rank} is out of memory in step {around.step}"
        return JobError("EngineFailed", message, what_helps(around.settings))
    return around.monitor.dead_soon()


class Safety:
    """Guards the loop: judges, saves, rolls back, ends on a signal."""

    def __init__(
        self,
        around: Surroundings,
        run: Run,
        *,
        keepers: Mapping[str, Keeper],
        parameters: int,
        resume: bool,
    ) -> None:
        """Raises: JobError if checkpoints have no room, or are of another run."""
        self._around = around
        self._run = run
        self._spikes = Spikes()
        self._spike: str | None = None
        self._stop_signal = 0
        self._rollbacks: list[int] = []
        self._files = StepFiles([])
        self.spikes: list[Json] = []
        root = around.output / ROOT
        if run.ranks.is_first:
            check_space(root, parameters, run.settings)
        self.checkpoints = Checkpoints(
            root,
            run,
            around.notices,
            keepers={**keepers, "spikes": self._spikes},
        )
        around.phase(0, "load")
        self.checkpoints.clean(anew=not resume)
        self.position = self.checkpoints.resume()
        self.resumed_from = self.position.done

    def run(self, watchers: list[Watcher]) -> Step | None:
        """Trains to the end, or to where a signal ends it.

        Raises: JobError of kind Interrupted when a signal asked for an end: the state is saved.
        """
        run = self._run
        files = step_files(
            self._around.output,
            run.settings,
            run.ranks,
            run.strategy.share,
            done=self.position.done,
        )
        self._files = files
        self.checkpoints.files = files
        if run.settings.on_spike == "rollback" and self.position.done == 0:
            self.checkpoints.save(self.position, wait=True)
        try:
            last = loop.run(
                run.strategy,
                run.source,
                run.settings,
                position=self.position,
                watchers=[*files.watchers, *watchers, self],
                guard=self,
            )
            self.checkpoints.tell_finished(wait=True)
        finally:
            files.close()
        return last

    def phase(self, number: int, name: str) -> None:
        self._around.phase(number, name)

    def decide(self, number: int, loss: float, norm: float) -> Decision:
        """The same on every rank: one reduction of what each of them thinks and has heard."""
        is_fp16 = self._run.settings.precision == "fp16"
        self._spike = self._spikes.reason(loss, 0.0 if is_fp16 else norm)
        own = Verdict.GOOD
        if self._spike is not None:
            own = VERDICTS[self._run.settings.on_spike]
        asked = self._around.signals.asked
        worst, stop_signal = most_of(self._run.ranks, [own, 0 if asked is None else asked])
        self._stop_signal = stop_signal
        verdict = Verdict(worst)
        if verdict is Verdict.GOOD:
            self._spikes.add(loss)
        else:
            self._note(number, loss, verdict)
        return Decision(verdict, ends=stop_signal > 0)

    def _note(self, number: int, loss: float, verdict: Verdict) -> None:
        reason = self._spike or "another rank saw a spike"
        name = verdict.name.lower()
        self.spikes.append({"step": number, "loss": repr(loss), "reason": reason, "did": name})
        self._around.notices.say(f"step {number}: {reason}; {DID[verdict]}")

    def roll_back(self, step: Step, position: Position) -> Position:
        self.phase(step.number, "load")
        self.position = self.checkpoints.roll_back(position)
        self._files.cut_back(self.position.done)
        self._rollbacks.append(self.position.done)
        if self._rollbacks.count(self.position.done) > MOST_ROLLBACKS:
            message = f"rolled back to step {self.position.done} {MOST_ROLLBACKS} times in vain"
            raise JobError("EngineFailed", message, "a lower --learning-rate, or look at the data")
        return self.position

    def stop(self, step: Step, position: Position) -> None:
        """Saves the state of before the step, from which another --on-spike can go on."""
        self.checkpoints.save(position, wait=True)
        message = f"step {step.number}: {self._spike}"
        hint = (
            f"step-{position.done} has the state before it: go on with --on-spike skip or "
            "rollback, or begin anew with a lower --learning-rate"
        )
        raise JobError("EngineFailed", message, hint)

    def after(self, step: Step) -> bool:
        """The last watcher: the others' sums are in what it saves."""
        self.position = Position(step.number, self.position.left_out)
        self.checkpoints.tell_finished(wait=False)
        is_last = step.number == self._run.settings.steps
        if step.decision.ends and not is_last:
            self._end_on_signal(step)
        elif self.checkpoints.is_due(step):
            self.phase(step.number, "save")
            self.checkpoints.save(self.position, wait=is_last)
        return False

    def _end_on_signal(self, step: Step) -> None:
        self.phase(step.number, "save")
        self.checkpoints.save(self.position, wait=True)
        name = signal.Signals(self._stop_signal).name
        message = f"ended by {name} after step {step.number}, which is saved"
        raise JobError("Interrupted", message, "the same command goes on from there")

    def report(self) -> Json:
        """What a run's report says of its safety."""
        return {
            "resumed_from": self.resumed_from,
            "left_out_steps": self.position.left_out,
            "spikes": self.spikes,
            "notices": self._around.notices.lines,
            "saves": [saved._asdict() for saved in self.checkpoints.saves],
        }
