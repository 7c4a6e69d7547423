"""Fits the compliance judge to human labels, and measures it: in each source, across sources, and
its reported success. Every figure is taken through redteam's own function, with all that it does
before and after the fitted model.

Sources (fetched by you, kept out of the repository): GPTFuzz's labelled responses
(github.com/sherdencooper/GPTFuzz, MIT: datasets/responses_labeled/*.csv and
datasets/questions/question_list.csv) and XSTest's (paul-rottger/exaggerated-safety, CC BY 4.0:
model_completions/*.csv, `final_label`). Ours, judge_pairs.jsonl, train along with each: kinds that
one of the two has and the other lacks (two voices, lectures that give it or do not, fiction, empty
talk, another thing in its place), mostly the same question answered in both ways.
Needs scikit-learn. --write saves the weights that ship.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.evaluate import compliance as judge
from llmops_cli.evaluate.features import FEATURES, features_of
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.judge import judge as judge_attempt

Rows = list[tuple[str, str, int]]
"""(question, answer, whether people say that it complied)."""
OWN = Path(__file__).with_name("judge_pairs.jsonl")
STRENGTH = 0.05
"""scikit-learn's C. Ten times as much is .004 better in a source and up to .04 worse in another."""


def gptfuzz(folder: Path, name: str) -> Rows:
    with (folder / "datasets/questions/question_list.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        asked = {row["index"]: row["text"] for row in csv.DictReader(file)}
    with (folder / f"datasets/responses_labeled/{name}.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        return [
            (asked.get(r["question"], ""), r["Response"], int(r["label"]))
            for r in csv.DictReader(file)
        ]


def xstest(folder: Path) -> Rows:
    rows: Rows = []
    for path in sorted((folder / "model_completions").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows += [
                (r["prompt"], r["completion"], int(r["final_label"].startswith("1")))
                for r in csv.DictReader(file)
            ]
    return rows


def own_pairs() -> Rows:
    lines = OWN.read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    return [(pair["prompt"], pair["answer"], int(pair["complied"])) for pair in pairs]


@cache
def part_of(answer: str) -> str:
    return judge.read_part(answer)


@cache
def form_of(question: str, answer: str) -> tuple[float, ...]:
    return tuple(features_of(question, part_of(answer)))


class Fitted:
    """Form features and words, one logistic model."""

    def __init__(self, rows: Rows, weights: np.ndarray | None = None) -> None:
        self.words = TfidfVectorizer(
            ngram_range=(1, 2),
            min_df=8,
            max_features=4000,
            sublinear_tf=True,
            token_pattern=judge.TOKEN,
        )
        form = self._form(rows)
        text = self.words.fit_transform([part_of(a) for _, a, _ in rows])
        self.model = LogisticRegression(C=STRENGTH, max_iter=5000, fit_intercept=False)
        self.model.fit(
            np.hstack([form, judge.WORD_SCALE * text.toarray()]),
            [y for *_, y in rows],
            sample_weight=weights,
        )

    @staticmethod
    def _form(rows: Rows) -> np.ndarray:
        return np.array([form_of(q, a) for q, a, _ in rows], float)

    def weights(self) -> dict[str, object]:
        coefficients = self.model.coef_[0]
        names = list(self.words.vocabulary_)
        n = len(FEATURES)
        return {
            "weights": {
                name: round(float(w), 4) for name, w in zip(FEATURES, coefficients, strict=False)
            },
            "words": {
                name: [
                    round(float(self.words.idf_[self.words.vocabulary_[name]]), 3),
                    round(float(coefficients[n + self.words.vocabulary_[name]]), 3),
                ]
                for name in sorted(names)
            },
        }


def shipped(model: Fitted, rows: Rows) -> np.ndarray:
    """What the function that judges attempts says with these weights, for each row.

    The rows are given to it as redteam gives it a family that is judged by the form of the answer.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "judge.json"
        path.write_text(json.dumps({**model.weights(), "errors": {}}))
        judge.DATA = path
        judge.fitted.cache_clear()
        verdicts = [is_success(_attempt(question), answer) for question, answer, _ in rows]
        judge.fitted.cache_clear()
    return np.array(verdicts)


def _attempt(question: str) -> Attempt:
    return Attempt(
        number=0,
        family="forbidden_topic",
        attack="plain",
        system="",
        turns=[question],
        judge="topic",
        target="",
        goal=question,
    )


def is_success(attempt: Attempt, answer: str) -> bool:
    return judge_attempt(attempt, answer).success


def figures(name: str, said: np.ndarray, rows: Rows) -> dict[str, float]:
    truth = np.array([y for *_, y in rows])
    found = {
        "accuracy": float((said == truth).mean()),
        "sensitivity": float(said[truth == 1].mean()),
        "specificity": float(1 - said[truth == 0].mean()),
        "reported": float(said.mean()),
        "human": float(truth.mean()),
        "n": len(rows),
    }
    print(
        f"{name:34s} "
        + "  ".join(f"{k} {v:.3f}" if k != "n" else f"n {v}" for k, v in found.items())
    )
    return {key: round(value, 4) for key, value in found.items()}


def folds(rows: Rows, others: Rows, count: int = 5) -> np.ndarray:
    """Out-of-fold verdicts; questions of a fold are in no other, `others` always train along."""
    keys = sorted({q for q, _, _ in rows})
    fold = {q: i % count for i, q in enumerate(np.random.default_rng(0).permutation(keys))}
    out = np.zeros(len(rows), bool)
    for k in range(count):
        inside = [i for i, r in enumerate(rows) if fold[r[0]] == k]
        train = [r for r in rows if fold[r[0]] != k] + others
        out[inside] = shipped(Fitted(train), [rows[i] for i in inside])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gptfuzz", type=Path, required=True)
    parser.add_argument("--xstest", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    train = gptfuzz(args.gptfuzz, "train")
    test = gptfuzz(args.gptfuzz, "evaluate")
    other = xstest(args.xstest)
    own = own_pairs()
    both = Fitted(train + other + own)
    errors = {
        "gptfuzz": figures("GPTFuzz, held-out responses", shipped(both, test), test),
        "xstest": figures("XSTest, held-out questions", folds(other, train + own), other),
        "gptfuzz_from_xstest": figures(
            "GPTFuzz, judge fitted to XSTest", shipped(Fitted(other + own), test), test
        ),
        "xstest_from_gptfuzz": figures(
            "XSTest, judge fitted to GPTFuzz", shipped(Fitted(train + own), other), other
        ),
        "own_from_both": figures(
            "own pairs, judge fitted to both", shipped(Fitted(train + other), own), own
        ),
        "own": figures("own pairs, held-out questions", folds(own, train + other), own),
    }
    if args.write:
        args.write.write_text(
            json.dumps({**Fitted(train + test + other + own).weights(), "errors": errors}, indent=0)
            + "\n"
        )


if __name__ == "__main__":
    main()
