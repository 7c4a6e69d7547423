"""A Llama of 6M parameters trained on English text for some minutes, for benchmarks of quantization
quality.

The text is what every Python brings (pydoc's topics and the docstrings of the standard library):
one part trains, another calibrates, a third that neither saw judges.
"""

from __future__ import annotations

import ast
import json
import random
import sys
import sysconfig
from pathlib import Path

VOCAB = 4096
HIDDEN = 256
INTERMEDIATE = 768
LAYERS = 6
HEADS = 8
WINDOW = 256
BATCH = 16


def documents() -> list[str]:
    from pydoc_data import topics

    found = [str(text) for text in topics.topics.values()]
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        nodes = [
            n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.Module))
        ]
        text = "\n\n".join(doc for node in nodes if (doc := ast.get_docstring(node)))
        found += [text] if len(text) > 400 else []
    random.Random(0).shuffle(found)
    return found


def make(folder: Path, *, steps: int = 400) -> Path:
    """Writes the folder once, with calibration.jsonl and heldout.jsonl beside the weights."""
    if (folder / "heldout.jsonl").exists():
        return folder
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = documents()
    tenth = len(texts) // 10
    heldout = texts[:tenth]
    calibration = texts[tenth : 2 * tenth]
    training = texts[2 * tenth :]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        training,
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            special_tokens=["<|end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=HIDDEN,
            intermediate_size=INTERMEDIATE,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS // 2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=None,
        )
    )
    stream = torch.tensor([token for text in training for token in [*bpe.encode(text).ids, 0]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=steps, pct_start=0.1
    )
    for step in range(steps):
        starts = torch.randint(0, len(stream) - WINDOW, (BATCH,))
        batch = torch.stack([stream[start : start + WINDOW] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name, part in (("calibration", calibration), ("heldout", heldout)):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in part)
        (folder / f"{name}.jsonl").write_text(lines)
    return folder


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
