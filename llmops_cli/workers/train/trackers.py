"""Other people's trackers, told of each step. Each library is imported only where it is asked for.

None of them speaks with the network: MLflow and Weights & Biases write into the run's folder.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from _shared.protocol import JobError, Json
from train.loop import Step
from train.safety import Surroundings
from train.settings import Settings

FOLDER = "trackers"


class Tracker(Protocol):
    def log(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    def __init__(self, folder: Path, recipe: Json) -> None:
        from torch.utils.tensorboard import SummaryWriter

        make: Any = SummaryWriter  # it has no types
        self._writer = make(str(folder / "tensorboard"))
        self._writer.add_text("recipe", str(recipe))

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class MLflow:
    def __init__(self, folder: Path, recipe: Json) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        import mlflow

        self._mlflow: Any = mlflow
        place = (folder / "mlflow.db").resolve()
        mlflow.set_tracking_uri(f"sqlite:///{place}")
        mlflow.start_run()
        mlflow.log_params({name: str(value)[:500] for name, value in recipe.items()})

    def log(self, step: int, values: dict[str, float]) -> None:
        self._mlflow.log_metrics(values, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


class WeightsAndBiases:
    def __init__(self, folder: Path, recipe: Json) -> None:
        os.environ["WANDB_MODE"] = "offline"
        import wandb

        self._run: Any = wandb.init(
            project="llmops", dir=str(folder), mode="offline", config=recipe
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, Json], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}


class Tracking:
    """Tells every tracker the same."""

    def __init__(self, settings: Settings, trackers: list[Tracker]) -> None:
        self._settings = settings
        self._trackers = trackers

    def after(self, step: Step) -> bool:
        values = {
            "loss": step.loss,
            "gradient_norm": step.gradient_norm,
            "learning_rate": self._settings.learning_rate * step.factor,
            "tokens": float(step.tokens),
        }
        for tracker in self._trackers:
            tracker.log(step.number, values)
        return False

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.close()


def tracking(names: list[str], around: Surroundings, recipe: Json) -> Tracking:
    """On the first rank; the others tell nobody.

    Raises: JobError for a tracker whose library is missing.
    """
    folder = around.output / FOLDER
    trackers = []
    for name in names if around.ranks.is_first else []:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            trackers.append(TRACKERS[name](folder, recipe))
        except ImportError as error:
            message = f"--{name} needs {name}, which cannot be imported: {error}"
            raise JobError("EnvironmentMissing", message, f"pip install {name}") from error
    return Tracking(around.settings, trackers)
