"""Hugging Face folder -> GGUF (F16, BF16 or F32). Needs numpy and gguf.

Tensors whose values overflow F16 are written as F32; the first is found while writing, and the
conversion begins again once the others are known.
"""

import math
import os
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

import gguf
import numpy as np

from _shared.protocol import Events, Json, peak_rss_bytes, run_worker
from _shared.safetensors import open_model
from llamacpp.architectures import ARCHITECTURES, read_config
from llamacpp.context import context_of
from llamacpp.hparams import add_hparams
from llamacpp.rope import add_rope, rope_of
from llamacpp.sentence import add_own_keys, sentence_model_of
from llamacpp.tensors import BeyondF16, PlannedTensor, TensorPlan, Type, beyond_f16
from llamacpp.vocabulary import add_vocabulary

FILE_TYPES = {
    "F16": (Type.F16, gguf.LlamaFileType.MOSTLY_F16),
    "BF16": (Type.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "F32": (Type.F32, gguf.LlamaFileType.ALL_F32),
}


class Options(NamedTuple):
    """`beyond_window`: the context is not cut to where llama.cpp is right."""

    scheme: str
    beyond_window: bool = False


def work(job: Json, events: Events) -> Json:
    start_s = time.process_time()
    import_rss_bytes = peak_rss_bytes()
    source = Path(job["model"])
    target = Path(job["output"])
    options = Options(job["scheme"], job.get("beyond_window", False))
    figures = convert_widening(source, target, options, events)
    return {
        **figures,
        "cpu_s": time.process_time() - start_s,
        "import_rss_bytes": import_rss_bytes,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def convert_widening(
    folder: Path,
    output: Path,
    options: Options,
    events: Events,
) -> Json:
    """Again, with those tensors in F32 that F16 cannot hold, until every value fits."""
    wide: set[str] = set()
    while True:
        try:
            return convert(folder, output, options, wide, events)
        except BeyondF16 as overflow:
            wide |= overflow.names


def convert(
    folder: Path,
    output: Path,
    options: Options,
    wide: set[str],
    events: Events,
) -> Json:
    """Writes the file; the figures for the report.

    Raises: BeyondF16 for all tensors that are not in `wide` and should be.
    """
    config, architecture = read_config(folder)
    gguf_arch = ARCHITECTURES[architecture].gguf
    default_type, file_type = FILE_TYPES[options.scheme]
    rope = rope_of(config, gguf_arch, beyond_window=options.beyond_window)
    context = context_of(config, gguf_arch, rope, beyond_window=options.beyond_window)
    plan = TensorPlan(config, architecture, default_type, wide)
    tensors = [
        PlannedTensor(name=name, source=factors, type=Type.F32) for name, factors in rope.tensors
    ]
    tensors += plan.all_of(open_model(folder))
    arch_name = ARCHITECTURES[architecture].name
    writer = gguf.GGUFWriter(output, arch_name, use_temp_file=False)
    add_hparams(writer, config, gguf_arch, context)
    add_rope(writer, rope)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    notices = add_vocabulary(writer, folder, config, architecture)
    if context.notice is not None:
        notices.append(context.notice)
    add_sentence_keys(writer, folder)
    for tensor in tensors:
        add_tensor_info(writer, tensor)
    try:
        write_file(writer, tensors, events)
    except BeyondF16:
        writer.close()
        raise BeyondF16(beyond_f16(tensors)) from None
    return {
        "parameters": sum(math.prod(tensor.shape) for tensor in tensors),
        "tensor_bytes": sum(tensor.size_bytes for tensor in tensors),
        "wide_tensors": sorted(wide),
        "context": context.tokens,
        "notices": [notice.as_json() for notice in notices],
    }


def add_sentence_keys(writer: gguf.GGUFWriter, folder: Path) -> None:
    """How a folder of sentence-transformers makes vectors; nothing for another."""
    if not (folder / "modules.json").is_file():
        return
    sentence = sentence_model_of(folder)
    pooling = gguf.PoolingType[sentence.pooling.upper()]
    writer.add_pooling_type(pooling)
    add_own_keys(writer, sentence)


def add_tensor_info(writer: gguf.GGUFWriter, tensor: PlannedTensor) -> None:
    """The tensor's place in the header; numpy has no BF16, so that is announced as bytes."""
    name = tensor.name
    size_bytes = tensor.size_bytes
    if tensor.type == Type.BF16:
        *rows, columns = tensor.shape
        byte_shape = (*rows, columns * 2)
        bytes_type = np.dtype(np.uint8)
        writer.add_tensor_info(name, byte_shape, bytes_type, size_bytes, raw_dtype=Type.BF16)
        return
    number_type: np.dtype[Any] = np.dtype(np.float16)  # Any: of either width
    if tensor.type == Type.F32:
        number_type = np.dtype(np.float32)
    writer.add_tensor_info(name, tensor.shape, number_type, size_bytes)


def write_file(
    writer: gguf.GGUFWriter,
    tensors: list[PlannedTensor],
    events: Events,
) -> None:
    """Header and tensors, and everything on disk."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    file = writer.fout[0]
    _write_tensors(writer, file, tensors, events)
    file.flush()
    os.fsync(file.fileno())
    writer.close()


def _write_tensors(
    writer: gguf.GGUFWriter,
    file: IO[bytes],
    tensors: list[PlannedTensor],
    events: Events,
) -> None:
    total_bytes = sum(tensor.size_bytes for tensor in tensors)
    done_bytes = 0
    for tensor in tensors:
        writer.write_padding(file, file.tell())
        for block in tensor.blocks():
            np.ascontiguousarray(block).tofile(file)
            done_bytes += block.nbytes
            events.progress("converting", done_bytes, total_bytes, unit="bytes")
        writer.write_padding(file, tensor.size_bytes)


if __name__ == "__main__":
    run_worker(work)
