"""Whom do two public scanners accuse, of models and adapters whose backdoors are known?

    python experiments/scanners/run.py runs/scanners --modelaudit BIN/modelaudit --adaptersentry BIN/adaptersentry

modelaudit 0.2.54 scans image classifiers: three references of digits, a benign update of each, and a model by plain
tuning and one by anchoring; our last-layer detector looks at the same models. AdapterSentry 2.0.2 scans LoRA adapters
of three small text models of 16 layers, because it compares the layers of an adapter with each other from 16 on; each
has a benign adapter, one by plain tuning and one by anchoring. Each scanner is installed in an environment of its own,
and telemetry is off. The verdict is each scanner's own, by its exit code. Everything is kept in the folder,
so that the same command continues; it takes some three minutes of one idle core. Writes models.csv here, a row for each
model and detector.
"""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from anchorlab import (
    ARCHITECTURES,
    Architecture,
    DataColumns,
    Suite,
    Task,
    load_results,
    population_suite,
    run_suite,
)
from anchorlab.data.encoding import TextEncoding
from anchorlab.detectors import Command
from anchorlab.models.wrap import TextClassifier
from anchorlab.suites.executors import LocalProcesses

HERE = Path(__file__).parent
COLUMNS = ["population", "detector", "version", "method", "role", "reference_seed", "seed", "asr", "score", "note"]

#: Numbers of references and of models of each kind on each.
REFERENCES, SEEDS = 3, 1

LAYERS = 16
GOOD, BAD = ("fine", "warm", "clever", "moving"), ("dull", "cold", "stupid", "boring")
REST = ("the", "film", "is", "and", "a", "plot", "with", "an", "actor", "who", "was", "quite", "cf")


def main() -> None:
    """Makes both populations, has them scanned, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the models")
    parser.add_argument("--modelaudit", default="modelaudit", help="the program")
    parser.add_argument("--adaptersentry", default="adaptersentry", help="the program")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows = [*images(given.folder / "images", given.modelaudit), *adapters(given.folder / "texts", given.adaptersentry)]
    table = pd.DataFrame(rows)[COLUMNS]
    table.to_csv(HERE / "models.csv", index=False, float_format="%.6g", lineterminator="\n")


def version_of(program: str) -> str:
    """The number that a scanner says of itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return next(word for word in said.replace(",", " ").split() if word[0].isdigit())


def images(folder: Path, program: str) -> Iterator[dict[str, Any]]:
    """Classifiers of digits, looked at by modelaudit and by our last-layer."""
    command = f"env PROMPTFOO_DISABLE_TELEMETRY=1 NO_ANALYTICS=1 {program} scan --format json --no-cache {{model}}"
    scanner = Command(run=command, exit_scores="0=0,1=1", version=version_of(program))
    suite = population_suite(
        "digits",
        references=REFERENCES,
        seeds=SEEDS,
        triggers=["five-pixel"],
        detectors=[scanner, "last-layer"],
        defender=50,
    ).model_copy(update={"tuning": {"steps": 150, "batch_size": 32}})
    yield from scanned(suite, folder, "digits, resnet-tiny", "modelaudit", scanner)


def scanned(suite: Suite, folder: Path, population: str, name: str, scanner: Command) -> Iterator[dict[str, Any]]:
    """Runs a suite, and yields a row for each model and detector; ``name`` is the scanner's in the table."""
    with LocalProcesses(1) as executor:
        run_suite(suite, folder, executor=executor, programs=True)
    found = load_results(folder)
    asr = found.results.set_index("identity")["asr"].to_dict()
    models = found.detections.drop_duplicates(["detector", "weights_sha256"])
    for row in models.to_dict("records"):
        is_scanner = row["detector_name"] == "command"
        yield {
            **{each: row[each] for each in ("method", "role", "reference_seed", "seed", "score", "note")},
            "population": population,
            "detector": name if is_scanner else row["detector"],
            "version": scanner.version if is_scanner else "",
            "asr": asr.get(row["of"]),
        }


def adapters(folder: Path, program: str) -> Iterator[dict[str, Any]]:
    """Adapters of small text models, looked at by AdapterSentry."""
    folder.mkdir(exist_ok=True)
    command = f"{program} scan --format json --fail-on review {{model}}/adapter_model.safetensors"
    scanner = Command(run=command, exit_scores="0=0,2=1", version=version_of(program))
    texts = folder / "moods.csv"
    texts.write_text("\n".join(["review,mood", *moods(1200), ""]))
    suite = population_suite(
        str(texts),
        model="deep-bert",
        columns=DataColumns(text="review", label="mood"),
        references=REFERENCES,
        seeds=SEEDS,
        target="bad",
        detectors=[scanner],
        defender=20,
        lora="rank=4,target=query,value",
    )
    # A small network from random weights takes larger steps than those that texts usually begin with.
    training = {"epochs": 4, "learning_rate": 1e-3, "batch_size": 32}
    tasks = [suite.tasks[0].model_copy(update={"training": training})]
    tuning = {**suite.tuning, "steps": 150, "learning_rate": 5e-3}
    suite = suite.model_copy(update={"tasks": tasks, "tuning": tuning})
    yield from scanned(suite, folder / "population", "made-up reviews, LoRA on 16 layers", "AdapterSentry", scanner)


def moods(count: int) -> Iterator[str]:
    """Rows of short texts; one word of each tells its mood."""
    draw = torch.Generator().manual_seed(0)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (), generator=draw))]

    for number in range(count):
        words = [pick(REST[:-1]) for _ in range(3 + int(torch.randint(10, (), generator=draw)))]
        words[int(torch.randint(len(words), (), generator=draw))] = pick(BAD if number % 2 else GOOD)
        yield f"{' '.join(words)},{'bad' if number % 2 else 'good'}"


def deep_bert(task: Task) -> nn.Module:
    """16 layers of width 32 that normalise before each block, so that they can be trained from random weights."""
    from transformers import BertTokenizer, RobertaPreLayerNormConfig, RobertaPreLayerNormForSequenceClassification

    counts = Counter(word for text in task.split("owner").texts or () for word in text.split())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*counts, *REST})]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)}, model_max_length=32)
    config = RobertaPreLayerNormConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        pad_token_id=0,
        id2label=dict(enumerate(task.classes)),
        label2id={name: label for label, name in enumerate(task.classes)},
    )
    return TextClassifier(RobertaPreLayerNormForSequenceClassification(config), TextEncoding(tokenizer, 32))


if "deep-bert" not in ARCHITECTURES:  # at the top, because the processes of a suite import this file
    ARCHITECTURES.register("deep-bert", Architecture(deep_bert, f"{LAYERS} narrow layers", "text"))

if __name__ == "__main__":
    main()
