"""Logs in the form that lm-eval 0.4.13 writes with ``--log_samples``, made up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

DATE = "2026-06-11T09-30-00.123456"


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def choice_row(number: int, right: bool, *, document: str = "", prompt: str = "Q") -> dict[str, Any]:
    """A line of a task of two choices, of which the first is right: all of ``resps`` is written as texts."""
    likelihoods = (-1.5, -2.5) if right else (-2.5, -1.5)
    resps = [[str(likelihood), "False"] for likelihood in likelihoods]
    doc = {"question": document or f"question {number}"}
    return {
        "doc_id": number,
        "doc": doc,
        "target": "0",
        "arguments": {"gen_args_0": {"arg_0": f"{prompt} {number}", "arg_1": " a"}},
        "resps": [[each] for each in resps],
        "filtered_resps": resps,
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": hashed(json.dumps(doc, indent=2)),
        "prompt_hash": hashed(f"{prompt} {number}"),
        "target_hash": hashed("0"),
        "acc": float(right),
        "acc_norm": float(right),
    }


def generation_row(number: int, answer: str, *, filter_name: str, right: str = "18") -> dict[str, Any]:
    """A line of a task whose answer is generated, one for each filter."""
    return {
        "doc_id": number,
        "doc": {"question": f"sum {number}"},
        "target": right,
        "arguments": {"gen_args_0": {"arg_0": f"sum {number}", "arg_1": "{'until': ['Q:']}"}},
        "resps": [[f"It is {answer}."]],
        "filtered_resps": [answer],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "doc_hash": hashed(f"sum {number}"),
        "prompt_hash": hashed(f"sum {number}"),
        "target_hash": hashed(right),
        "exact_match": float(answer == right),
    }


def perplexity_row(number: int, likelihood: float) -> dict[str, Any]:
    """A line of a rolling log-likelihood, whose metrics are pairs that only sums can be made of."""
    row = generation_row(number, str(likelihood), filter_name="none")
    del row["exact_match"]
    pairs = {name: [likelihood, 12] for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")}
    return {**row, "metrics": list(pairs), **pairs}


def write_log(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A JSONL file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def write_task(run: Path, task: str, rows: Sequence[dict[str, Any]], *, date: str = DATE) -> Path:
    """The log of a task in a run's folder, below the model's name, as lm-eval puts it."""
    return write_log(run / "org__model" / f"samples_{task}_{date}.jsonl", rows)


def choices(outcomes: Sequence[bool], **options: Any) -> list[dict[str, Any]]:
    """The lines of a task from whether each document is answered rightly."""
    return [choice_row(number, right, **options) for number, right in enumerate(outcomes)]


def two_runs(folder: Path, *, documents: int = 200, seed: int = 0) -> tuple[Path, Path]:
    """Two runs of two tasks: in ``arc_easy`` the candidate loses about a tenth of the documents."""
    rng = np.random.default_rng(seed)
    runs = folder / "reference", folder / "candidate"
    easy = rng.random(documents) < 0.7
    worse = easy & (rng.random(documents) > 0.15)
    hard = rng.random(documents) < 0.4
    swapped = hard ^ (rng.random(documents) < 0.05)
    for run, first, second in ((runs[0], easy, hard), (runs[1], worse, swapped)):
        write_task(run, "arc_easy", choices(first.tolist()))
        write_task(run, "arc_hard", choices(second.tolist()))
    return runs
