"""Every architecture the converter knows: random weights, and the same logits from llama.cpp as
from Transformers.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmops_cli.runtime.paths import WORKERS, recipes_dir

pytestmark = [pytest.mark.slow]

SIZE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "vocab_size": 600,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + i / 40 for i in range(32)],
    "long_factor": [2.0 + i / 10 for i in range(32)],
    "original_max_position_embeddings": 512,
}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama": ("Llama", {"tie_word_embeddings": False}, "bpe"),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}, "bpe"),
    "llama-bias": ("Llama", {"attention_bias": True}, "bpe"),
    "llama3-rope": ("Llama", {"rope_parameters": LLAMA3}, "bpe"),
    "llama-linear-rope": ("Llama", {"rope_parameters": LINEAR}, "bpe"),
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 32}, "byte-fallback"),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}, "bpe"),
    "qwen2-yarn": ("Qwen2", {"rope_parameters": YARN}, "bpe"),
    "qwen3": ("Qwen3", {"head_dim": 128}, "bpe"),
    "phi3": ("Phi3", {"sliding_window": None}, "byte-fallback"),
    "phi3-longrope": (
        "Phi3",
        {"sliding_window": None, "rope_parameters": LONGROPE, "max_position_embeddings": 1024},
        "byte-fallback",
    ),
    "gemma2": (
        "Gemma2",
        {"head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 16},
        "sentencepiece",
    ),
    "gemma3": (
        "Gemma3Text",
        {"head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 16},
        "byte-fallback",
    ),
}


def corpus() -> list[str]:
    return (recipes_dir() / "data" / "calibration.txt").read_text().splitlines()[:600]


def write_bpe(folder: Path) -> None:
    sys.path.insert(0, str(WORKERS))
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    split = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n"
        r"\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    ).save_pretrained(folder)


def sentencepiece_model() -> bytes:
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=out,
        vocab_size=600,
        model_type="bpe",
        byte_fallback=True,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        character_coverage=0.99,
        minloglevel=2,
        num_threads=1,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
    )
    return out.getvalue()


def write_byte_fallback(folder: Path) -> None:
    """The same SentencePiece model as Transformers stores it: BPE with byte fallback, spaces as
    ▁.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    vocab = {pieces.IdToPiece(i): i for i in range(pieces.vocab_size())}
    merges = []
    for piece, token in sorted(vocab.items(), key=lambda entry: entry[1]):
        for cut in range(1, len(piece)):
            if pieces.IsByte(token) or pieces.IsControl(token) or pieces.IsUnknown(token):
                continue
            if piece[:cut] in vocab and piece[cut:] in vocab:
                merges.append((token, (piece[:cut], piece[cut:])))
    ordered = [pair for _, pair in sorted(merges)]
    tokenizer = Tokenizer(
        models.BPE(vocab, ordered, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)


def make_model(
    folder: Path, kind: str, extra: dict[str, Any], tokenizer: str, dtype: str = "float32"
) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SIZE, **extra})
    name = "Gemma3ForCausalLM" if kind == "Gemma3Text" else f"{kind}ForCausalLM"
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases must not hide behind ones and zeros
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim == 1 else 0.02))
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder)
    if tokenizer == "bpe":
        write_bpe(folder)
    elif tokenizer == "byte-fallback":
        write_byte_fallback(folder)
    else:
        (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    return model.float()


def convert(folder: Path, out: Path, scheme: str = "F32") -> dict[str, Any]:
    return work("llamacpp.convert", out, model=str(folder), scheme=scheme)


def work(program: str, out: Path, **given: str) -> dict[str, Any]:
    job = out.parent / "job"
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    (job / "input.json").write_text(json.dumps({"output": str(out), **given}))
    subprocess.run(
        [sys.executable, str(WORKERS), program, str(job)],
        check=False,
        capture_output=True,
    )
    error = job / "error-0.json"
    if error.exists():
        return {"error": json.loads(error.read_text())}
    return dict(json.loads((job / "output.json").read_text()))


LOGITS = """
import ctypes, sys, json, numpy as np, llama_cpp as L
cb = L.llama_log_callback(lambda *a: None); L.llama_log_set(cb, ctypes.c_void_p(0))
m = L.llama_model_load_from_file(sys.argv[1].encode(), L.llama_model_default_params())
v = L.llama_model_get_vocab(m); V = L.llama_vocab_n_tokens(v)
p = L.llama_context_default_params(); p.n_ctx = p.n_batch = p.n_ubatch = 128
p.flash_attn_type = p.type_k = p.type_v = 0
c = L.llama_init_from_model(m, p)
tokens = json.loads(sys.argv[2]); n = len(tokens); b = L.llama_batch_init(128, 0, 1)
for i, t in enumerate(tokens):
    b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, i, 1, 1
    b.seq_id[i][0] = 0
b.n_tokens = n
assert L.llama_decode(c, b) == 0
np.save(sys.argv[3], np.ctypeslib.as_array(L.llama_get_logits(c), (n, V)))
texts = json.loads(sys.argv[4]); out = []
for text in texts:
    raw = text.encode(); buf = (L.llama_token * 4096)()
    out.append(list(buf[:L.llama_tokenize(v, raw, len(raw), buf, 4096, False, True)]))
print(json.dumps(out))
"""


def llama_logits(
    gguf: Path, tokens: list[int], texts: list[str]
) -> tuple[np.ndarray, list[list[int]]]:
    argv = [
        sys.executable,
        "-c",
        LOGITS,
        str(gguf),
        json.dumps(tokens),
        str(gguf) + ".npy",
        json.dumps(texts),
    ]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    return np.load(str(gguf) + ".npy"), json.loads(run.stdout)


TEXTS = [
    "Hello world, it's 2026!",
    "def f(x):\n    return x ** 2  # π ≈ 3.14159",
    "a  b   c\n\n\nd\te",
    "naïve café 🙂 日本",
]


@pytest.mark.parametrize("name", sorted(CASES))
def test_llama_cpp_computes_what_transformers_computes(tmp_path: Path, name: str) -> None:
    import torch

    kind, extra, tokenizer = CASES[name]
    model = make_model(tmp_path / "hf", kind, extra, tokenizer)
    result = convert(tmp_path / "hf", tmp_path / "model.gguf")
    assert "error" not in result, result
    tokens = np.random.default_rng(0).integers(4, 600, 60).tolist()
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0].numpy()
    found, tokenized = llama_logits(tmp_path / "model.gguf", tokens, TEXTS)
    spread = expected.std()
    assert np.abs(found - expected).max() < 0.02 * spread, (np.abs(found - expected).max(), spread)
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.98
    if tokenizer == "sentencepiece":
        import sentencepiece

        reference = sentencepiece.SentencePieceProcessor(
            model_file=str(tmp_path / "hf" / "tokenizer.model")
        )
        assert tokenized == [reference.EncodeAsIds(text) for text in TEXTS]
    else:
        from transformers import AutoTokenizer

        hf = AutoTokenizer.from_pretrained(tmp_path / "hf")
        assert tokenized == [hf(text, add_special_tokens=False).input_ids for text in TEXTS]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_sharded_half_precision_is_read(tmp_path: Path, dtype: str) -> None:
    model = make_model(tmp_path / "hf", "Llama", {}, "bpe", dtype)
    one = convert(tmp_path / "hf", tmp_path / "one.gguf", "F16")
    import torch

    for file in (tmp_path / "hf").glob("*.safetensors"):
        file.unlink()
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path / "hf", max_shard_size="1MB")
    assert len(list((tmp_path / "hf").glob("*.safetensors"))) > 2
    many = convert(tmp_path / "hf", tmp_path / "many.gguf", "F16")
    assert one["parameters"] == many["parameters"]
    tokens = list(range(10, 40))
    first, _ = llama_logits(tmp_path / "one.gguf", tokens, [])
    second, _ = llama_logits(tmp_path / "many.gguf", tokens, [])
    assert np.array_equal(first, second)


def test_values_beyond_f16_are_kept_in_f32(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    make_model(tmp_path / "hf", "Llama", {}, "bpe", "bfloat16")
    path = tmp_path / "hf" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = torch.tensor(1e6, dtype=torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})
    result = convert(tmp_path / "hf", tmp_path / "model.gguf", "F16")
    assert result["wide_tensors"] == ["blk.1.ffn_up.weight"]


def test_a_missing_shard_and_an_unknown_rope_are_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "hf", "Llama", {}, "bpe")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    odd = {**config, "rope_parameters": {"rope_type": "spiral", "rope_theta": 1e4}}
    (tmp_path / "hf" / "config.json").write_text(json.dumps(odd))
    assert (
        "rope scaling 'spiral'" in convert(tmp_path / "hf", tmp_path / "x.gguf")["error"]["message"]
    )
    (tmp_path / "hf" / "config.json").write_text(json.dumps(config))
    (tmp_path / "hf" / "model.safetensors").unlink()  # it would go first
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (tmp_path / "hf" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "shard missing" in convert(tmp_path / "hf", tmp_path / "x.gguf")["error"]["message"]


WAYS_BACK = (
    "llama",
    "llama-bias",
    "llama-tied",
    "llama-linear-rope",
    "llama3-rope",
    "mistral",
    "qwen2",
    "qwen3",
)


@pytest.mark.parametrize("name", WAYS_BACK)
def test_a_gguf_file_becomes_the_folder_that_it_came_from(tmp_path: Path, name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kind, extra, tokenizer = CASES[name]
    model = make_model(tmp_path / "hf", kind, extra, tokenizer)
    convert(tmp_path / "hf", tmp_path / "model.gguf", "F16")
    result = work("llamacpp.to_hf", tmp_path / "back", model=str(tmp_path / "model.gguf"))
    assert "error" not in result, result
    assert result["parameters"] == sum(each.numel() for each in model.parameters())
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype=torch.float32)
    tokens = torch.tensor([np.random.default_rng(0).integers(4, 600, 60).tolist()])
    with torch.no_grad():
        expected = model(tokens).logits
        found = back(tokens).logits
    assert (found - expected).abs().max() < 0.005 * expected.std()
    ours = AutoTokenizer.from_pretrained(tmp_path / "back")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in [*TEXTS, "<eos> inside <bos>"]:
        assert ours(text).input_ids == theirs(text).input_ids
        assert ours.decode(ours(text).input_ids) == theirs.decode(theirs(text).input_ids)


@pytest.mark.parametrize("name", ["gemma2", "phi3", "qwen2-yarn"])
def test_a_gguf_file_without_a_way_back_is_refused(tmp_path: Path, name: str) -> None:
    kind, extra, tokenizer = CASES[name]
    make_model(tmp_path / "hf", kind, extra, tokenizer)
    convert(tmp_path / "hf", tmp_path / "model.gguf", "F16")
    result = work("llamacpp.to_hf", tmp_path / "back", model=str(tmp_path / "model.gguf"))
    assert result["error"]["kind"] == "UsageError"
    assert not (tmp_path / "back" / "model.safetensors").exists()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((tmp_path / "model.gguf").read_bytes()[:5000])
    result = work("llamacpp.to_hf", tmp_path / "again", model=str(cut))
    assert "no whole GGUF file" in result["error"]["message"]
