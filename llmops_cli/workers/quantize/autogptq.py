"""AutoGPTQ, which is no longer developed, for those who need files of exactly that library."""

from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from _shared.protocol import Events, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with
from quantize.release4 import folder_for_release4, require_known, restore_config, store_as


def apply(work: QuantizeJob) -> None:
    from auto_gptq import BaseQuantizeConfig

    job = work.job
    config: Any = BaseQuantizeConfig(
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        desc_act=False,
        model_file_base_name="model",
    )
    quantize(work, config)
    store_as(work.model, work.source)
    work.model.config.quantization_config = config.to_dict()
    # not by its own `save_quantized`, which writes a tied head twice and one file of any size
    work.model.save_pretrained(work.output, safe_serialization=True)
    config.save_pretrained(str(work.output))
    restore_config(work.source, work.output)


def quantize(work: QuantizeJob, config: Any) -> None:
    """Not by its `from_pretrained`, which asks for a GPU before it does anything."""
    import torch
    from auto_gptq.modeling.auto import GPTQ_CAUSAL_LM_MODEL_MAP

    require_known(work.source, GPTQ_CAUSAL_LM_MODEL_MAP, "AutoGPTQ")
    wrapper = GPTQ_CAUSAL_LM_MODEL_MAP[work.model.config.model_type]
    count_matrices(work)
    if not torch.cuda.is_available():
        stay_on_cpu()
    samples = []
    for window in work.calibration.windows:
        ids_BT = torch.tensor([window])
        mask_BT = torch.ones_like(ids_BT)
        sample = {"input_ids": ids_BT, "attention_mask": mask_BT}
        samples.append(sample)
    wrapper(work.model, False, config).quantize(samples)


def stay_on_cpu() -> None:
    """Its arithmetic needs no GPU: it names the device by a constant, and waits for it once."""
    import auto_gptq.modeling._base as base
    import torch

    def no_waiting(*_args: Any, **_kwargs: Any) -> None:
        return None

    base.CUDA_0 = torch.device("cpu")
    cuda: Any = torch.cuda
    cuda.synchronize = no_waiting


def count_matrices(work: QuantizeJob) -> None:
    """Progress, which it only logs: each matrix is one step."""
    import auto_gptq.modeling._base as base
    import torch
    from tqdm import tqdm

    matrices = [m for m in work.model.modules() if isinstance(m, torch.nn.Linear)]
    bar = tqdm(total=len(matrices), desc="matrices")
    plain: Any = base.GPTQ

    class CountedGptq(plain):  # type: ignore[misc] # a class made of a library without types
        """One matrix that tells when it is done."""

        def fasterquant(self, *args: Any, **kwargs: Any) -> Any:
            found = super().fasterquant(*args, **kwargs)
            bar.update()
            return found

    base.GPTQ = CountedGptq


def work(job: Json, events: Events) -> Json:
    with folder_for_release4(Path(job["model"]), CONFIG_MAPPING) as readable:
        return quantize_with(apply, job, events, library="AutoGPTQ", readable=readable)


if __name__ == "__main__":
    run_worker(work)
