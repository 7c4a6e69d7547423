"""What each tensor of a model costs in each type: bytes, and a predicted KL divergence.

Each group of tensors (one role, some layers that follow one another) is quantized alone, and the
divergence from the untouched model is measured. The error of every other type is computed without
the model: squared, and weighted by the importance matrix. Loss is taken to grow as the error does.
"""

import json
import time
from pathlib import Path

import gguf
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import Events, JobError, Json, peak_rss_bytes, run_worker
from llamacpp.divergence import Divergence
from llamacpp.imatrix import Importance, importance_of
from llamacpp.quantize import QuantizerLog, quantize
from llamacpp.roles import Group, groups_of
from llamacpp.rounding import ErrorSum, Rounder, bits_of, divides, row_bytes
from llamacpp.touched import (
    TouchedModel,
    copy_of,
    matrices_of,
    require_floats,
    tensors_of,
)

SAMPLED_WEIGHTS = 1 << 16
"""Of a tensor, as whole rows spread over it: types are compared over the same rows."""
LEAST_LOSS = 1e-9
"""In nats: so that of two types that seem to cost nothing the nearer one is better."""
REFERENCE = "Q8_0"
NEEDS_IMPORTANCE = frozenset({"IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"})
"""llama-quant.cpp, tensor_requires_imatrix."""


class Measured:
    """Losses of groups, a line each in a file that outlives this program."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._losses = dict(_kept_lines(path))

    def of(self, group: Group) -> Json | None:
        return self._losses.get(group.name)

    def add(self, group: Group, loss: Json) -> None:
        self._losses[group.name] = loss
        line = json.dumps([group.name, loss])
        with self._path.open("a") as file:
            file.write(f"\n{line}\n")  # the line before may have been cut


def _kept_lines(path: Path) -> list[tuple[str, Json]]:
    """Whole lines; one that was cut when the program was killed is measured again."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            name, loss = json.loads(line)
        except ValueError:
            continue
        found.append((name, loss))
    return found


class Sensitivities:
    """One model's: what llama.cpp would quantize of it, and what that costs."""

    def __init__(self, job: Json, events: Events) -> None:
        self._job = job
        self._events = events
        self._base = Path(job["model"])
        self._folder = Path(job["output"])
        self._folder.mkdir()
        self._tensors = tensors_of(self._base)
        require_floats(self._tensors, self._base)
        self._importance: Importance = importance_of(job) or {}
        self._measured = Measured(Path(job["measured"]))

    def found(self) -> Json:
        """What belongs into the file."""
        header_bytes, changed = self._reference()
        groups = groups_of(changed, most=self._job["groups"])
        losses = self._measure(groups)
        rows = []
        for done, group in enumerate(groups, 1):
            rows += [self._row(name, losses[name]) for name in group.tensors]
            self._events.progress("comparing types", done, len(groups), unit="groups")
        kept = [name for name in self._tensors if name not in changed]
        header_bytes += sum(_padded(int(self._tensors[name].n_bytes)) for name in kept)
        return {"fixed_bytes": header_bytes, "groups": len(groups), "tensors": rows}

    def _reference(self) -> tuple[int, list[str]]:
        """Bytes of a quantized file beside its tensors, and which tensors llama.cpp quantizes.

        llama.cpp is asked by having it quantize all that it would.
        """
        path = self._folder / "reference.gguf"
        asked = {
            "model": str(self._base),
            "output": str(path),
            "scheme": REFERENCE,
            "threads": self._job["threads"],
            "pure": True,
        }
        quantize(asked, QuantizerLog(REFERENCE, self._events))
        reference = tensors_of(path)
        whole = path.stat().st_size
        changed = []
        for name, tensor in reference.items():
            whole -= _padded(int(tensor.n_bytes))
            if tensor.tensor_type.name == REFERENCE:
                changed.append(name)
        path.unlink()
        if not changed:
            raise JobError("UsageError", f"llama.cpp quantizes no tensor of {self._base}")
        return whole, changed

    def _measure(self, groups: list[Group]) -> dict[str, float]:
        """What each tensor loses in the type of its probe: its part of its group's loss."""
        missing = [group for group in groups if self._measured.of(group) is None]
        if missing:
            self._measure_missing(missing, len(groups))
        found = {}
        for group in groups:
            measured = self._measured.of(group)
            assert measured is not None
            errors = measured["errors"]
            loss = max(measured["loss"], LEAST_LOSS)
            whole = sum(errors.values()) or 1.0
            for name in group.tensors:
                found[name] = loss * errors[name] / whole
        return found

    def _measure_missing(self, missing: list[Group], whole: int) -> None:
        copy = copy_of(self._base, self._folder)
        threads = self._job["threads"]
        window = self._job["window"]
        model = TouchedModel(self._tensors, copy, window=window, threads=threads)
        text = Path(self._job["text"])
        divergence = Divergence(model, text, tokens=self._job["tokens"], window=window)
        before = whole - len(missing)
        for done, group in enumerate(missing, 1):
            errors = {}
            for name in group.tensors:
                importance = self._importance_of(name)
                errors[name] = model.round(name, self._probe(name), importance)
            loss = divergence.now()
            for name in group.tensors:
                model.restore(name)
            self._measured.add(group, {"loss": loss, "errors": errors})
            self._events.progress("measuring loss", before + done, whole, unit="groups")
        copy.unlink()

    def _probe(self, name: str) -> str:
        columns = int(self._tensors[name].shape[0])
        for type_name in self._job["probes"]:
            if divides(type_name, columns):
                return str(type_name)
        return REFERENCE

    def _importance_of(self, name: str) -> Floats | None:
        """None for a tensor that the matrix does not have, or has in another shape."""
        found = self._importance.get(name)
        tensor = self._tensors[name]
        if found is None or found.size != int(np.prod(tensor.shape)) // int(tensor.shape[1]):
            return None
        return found

    def _row(self, name: str, probe_loss: float) -> Json:
        tensor = self._tensors[name]
        importance = self._importance_of(name)
        probe_error = self._error(tensor, self._probe(name), importance)
        per_error = probe_loss / probe_error if probe_error else 0.0
        rows = int(tensor.n_elements) // int(tensor.shape[0])
        kind = tensor.tensor_type.name
        stays = {
            "type": kind,
            "bits_per_weight": bits_of(kind),
            "size_bytes": _padded(int(tensor.n_bytes)),
            "loss": 0.0,
        }
        options = [stays]
        for type_name in self._able(name, importance):
            error = self._error(tensor, type_name, importance)
            size = rows * row_bytes(type_name, int(tensor.shape[0]))
            option = {
                "type": type_name,
                "bits_per_weight": bits_of(type_name),
                "size_bytes": _padded(size),
                "loss": per_error * error,
            }
            options.append(option)
        return {"name": name, "weights": int(tensor.n_elements), "options": options}

    def _able(self, name: str, importance: Floats | None) -> list[str]:
        """Types that llama.cpp gives this tensor."""
        columns = int(self._tensors[name].shape[0])
        found = []
        for type_name in self._job["types"]:
            needs = type_name in NEEDS_IMPORTANCE
            if divides(type_name, columns) and (importance is not None or not needs):
                found.append(type_name)
        return found

    def _error(
        self,
        tensor: gguf.ReaderTensor,
        type_name: str,
        importance: Floats | None,
    ) -> float:
        """Of some rows of each of its matrices."""
        rounder = Rounder(type_name, threads=self._job["threads"])
        share = SAMPLED_WEIGHTS / int(tensor.n_elements)
        error = ErrorSum()
        for rows, importance_I in matrices_of(tensor, importance):
            count = max(1, min(len(rows), int(len(rows) * share)))
            places = np.linspace(0, len(rows) - 1, count).astype(int)
            w_OI = gguf.dequantize(rows[places], tensor.tensor_type)
            rounded_OI = rounder.rounded(w_OI, importance_I)
            error.add(w_OI, rounded_OI, importance_I)
        return error.share()


def _padded(size_bytes: int) -> int:
    """As tensors lie in a file."""
    alignment = gguf.GGUF_DEFAULT_ALIGNMENT
    return -(-size_bytes // alignment) * alignment


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    sensitivities = Sensitivities(job, events)
    found = sensitivities.found()
    text = json.dumps(found)
    (Path(job["output"]) / "sensitivities.json").write_text(text)
    return {
        "cpu_s": time.process_time() - start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


if __name__ == "__main__":
    run_worker(work)
