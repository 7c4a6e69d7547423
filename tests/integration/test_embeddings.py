"""Vectors of the real sentence model, whoever computes them: those of Transformers, pooled as its
folder says. The model and llama.cpp's converter are fetched on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmops_cli.core.progress import Silent
from llmops_cli.engines import load_engine
from llmops_cli.models.find import find_model
from llmops_cli.models.prepare import for_engine
from llmops_cli.runtime.paths import recipes_dir
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget
from tests.conftest import Cli
from tests.gateway import Starter
from tests.sure import ANSWER, QUESTION

pytestmark = [pytest.mark.slow]

TEXTS = [
    "How do I reset my password?",
    "I forgot my password, what now?",
    "Ünïcödé, café and naïve; don't!",
    "日本語のテキスト",
    "x",
    "The mitochondria is the powerhouse of the cell. " * 12,
]
LEAST_COSINE = 0.9999


def mean_vectors(folder: str) -> Any:
    """What Transformers itself makes of TEXTS, at unit length. Shape (texts, dimensions)."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval().float()
    vectors = []
    with torch.inference_mode():
        for text in TEXTS:
            encoded = tokenizer(text, return_tensors="pt")
            mean_D = model(**encoded).last_hidden_state[0].mean(0)
            vectors.append((mean_D / mean_D.norm()).numpy())
    return np.array(vectors)


def least_cosine(answer: Any, expected: Any) -> float:
    pairs = zip(answer.data, expected, strict=True)
    return min(float(np.dot(entry.embedding, theirs)) for entry, theirs in pairs)


@contextmanager
def client_of(
    backend: str,
    model: str,
    folder: Path,
    **options: str,
) -> Iterator[Any]:
    """OpenAI's own client of a server of ours."""
    openai = pytest.importorskip("openai")
    target = EngineTarget(backend=backend, model=model, options={"threads": "1", **options})
    with (
        started(target, folder=folder, parallel=4, progress=Silent()) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as client,
    ):
        yield client


@pytest.mark.parametrize("backend", ["llamacpp", "transformers"])
def test_the_sentence_model_by_openais_own_client(backend: str, tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    expected = mean_vectors(str(find_model("minilm", progress=Silent()).path))
    with client_of(backend, "minilm", tmp_path) as client:
        embed = partial(client.embeddings.create, model="minilm")
        packed = embed(input=TEXTS)
        assert least_cosine(packed, expected) > LEAST_COSINE
        assert packed.usage.prompt_tokens == packed.usage.total_tokens > len(TEXTS)
        plain = embed(input=TEXTS, encoding_format="float")
        assert least_cosine(plain, expected) > LEAST_COSINE

        tokens = client.post("/../tokenize", body={"prompt": TEXTS[0]}, cast_to=dict)["tokens"]
        by_tokens = embed(input=tokens)
        assert least_cosine(by_tokens, expected[:1]) > LEAST_COSINE

        with ThreadPoolExecutor(4) as pool:
            alone = list(pool.map(lambda text: embed(input=text), TEXTS * 4))
        for answer, theirs in zip(alone, [*expected] * 4, strict=True):
            assert least_cosine(answer, [theirs]) > LEAST_COSINE

        for wrong in ("", [], ["a", ""], [30_522], [[-1]], "word " * 300):
            with pytest.raises(openai.BadRequestError) as refused:
                embed(input=wrong)
            assert refused.value.param == "input"
        with pytest.raises(openai.BadRequestError, match="384"):
            embed(input="a", dimensions=128)
        with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
            messages = [{"role": "user", "content": "Hi"}]
            client.chat.completions.create(model="minilm", messages=messages)


def test_what_makes_vectors_goes_to_no_command_that_wants_text(demo_cli: Cli) -> None:
    quantized = demo_cli("quantize", "minilm", "--method", "gguf")
    assert quantized.returncode == 2
    assert "minilm makes vectors" in quantized.stderr
    served = demo_cli("bench", "--backend", "ctranslate2", "--model", "minilm")
    assert served.returncode == 2
    assert "--backend llamacpp or" in served.stderr
    chatted = demo_cli("bench", "--model", "minilm")
    assert chatted.returncode == 2
    assert "--api embeddings" in chatted.stderr


def test_a_decoder_makes_vectors_beside_its_text(tmp_path: Path) -> None:
    expected = mean_vectors(str(find_model("demo", progress=Silent()).path))
    with client_of("llamacpp", "demo", tmp_path) as client:
        found = client.embeddings.create(model="demo", input=TEXTS)
        assert least_cosine(found, expected) > 0.999  # 16-bit weights, and keys and values
        messages = [{"role": "user", "content": QUESTION}]
        said = client.chat.completions.create(model="demo", messages=messages, temperature=0)
        assert said.choices[0].message.content == ANSWER


def test_the_gateway_finds_other_wordings_by_the_sentence_model(start: Starter) -> None:
    """recipes/semantic.yaml, as it stands."""
    for model in ("smollm2", "minilm"):
        for_engine(load_engine("llamacpp"), model, progress=Silent())
    start.patience_s = 120
    gateway = start.config((recipes_dir() / "semantic.yaml").read_text())

    def ask(text: str) -> tuple[str | None, str]:
        messages = [{"role": "user", "content": text}]
        body = {"model": "smollm2", "messages": messages, "temperature": 0, "max_tokens": 40}
        status, headers, raw = gateway.ask(body)
        assert status == 200, raw
        return headers.get("x-llmops-cache"), raw.decode()

    use, first = ask("Tell me the capital of France please")
    assert use is None
    assert "Paris" in first
    use, again = ask("What is the capital of France?")
    assert use == "semantic"
    assert "Paris" in again
    use, other = ask("Tell me the capital of Norway please")
    assert use is None
    assert "Oslo" in other
