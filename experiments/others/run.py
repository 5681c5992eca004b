"""Repairs models that another toolkit poisoned, by our code, and counts what is left beside other people's code.

    python experiments/others/badnets.py runs/others            (and the commands that it names)
    python experiments/others/run.py runs/others

Appends a row to repairs.csv here for each model, repair and seed that it lacks, so that the same command continues.
Each repair has its defaults. A defender has 640 examples, drawn by the seed; ASR and accuracy are counted on the first
2,000 test images. Ten minutes of one core.

The rows of other people's code were made outside this project, on the same weights, with the same 640 examples and the
same count. Their functions ran as they stand in their repositories. Networks, loaders of data and ``cuda`` are what was
adapted; images are cropped at random after a padding of 4 where their loaders do so, and never mirrored, as
BackdoorBench does outside CIFAR-10. They learn from all 640, and we hold a fifth back. The column ``commit`` says which
version of which repository, and ``settings`` which of their published settings.

- BackdoorBench: ``npd`` (class NPD, with its layer in front of the second convolution, batches of 128) and ``sau``
  (class Shared_PGD and the body of its loop, batches of 256).
- Backdoor_Safety_Tuning, fine_tune/ft.py: ``fst`` and its three forms, from where the norm of the last layer is taken
  to the end of training.
- RNP, main.py: its two passes and its pruning. The threshold is the one of least ASR on test data that costs at most a
  tenth of the accuracy, as in BackdoorBench; that is our ``oracle-rnp``.
- ban, ban_finetune.py: function train, with the BatchNorm of its models.
- backdoor-toolbox: method detect of super_finetuning.py, and its adjust_lr.
- BTIDBF: pretraining of the generator, reverse and unlearn. Images are normalised by mean and deviation of
  Fashion-MNIST for it, because its bound is for normalised images. Its U-Net has two levels of 4 and 8 channels
  instead of four from 32 on, because 28 pixels are halved twice only. The mask lies on what enters the last layer.

A code with a comma in its name is a row that tries to explain a difference; it was made outside too, also where it is
ours, by ``repair`` with the parameters that ``settings`` says. For seven of them ("made again", "alone" and "lower
peak" of ours) the model was made again, on another processor. What the settings of ours say of the steps that bti-dbf
kept was added by hand. No code of fine-mixing's authors was found in public, so that it has no row.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import pandas as pd
import torch
from net import small, tiny
from torch import nn

from anchorlab import Task, load_model, load_task, repair
from anchorlab.artifacts.resolve import attack_of
from anchorlab.attacks.attack import attack_success
from anchorlab.models.call import accuracy
from anchorlab.scoring.repairs import choose_on_test

TABLE = Path(__file__).parent / "repairs.csv"
COLUMNS = ["model", "repair", "code", "commit", "settings", "seed", "defender_data", "asr", "accuracy", "cpu_seconds"]

OURS, TARGET = "anchorlab", 0

#: The networks, and the repairs that each gets: those with searches the smaller one.
MODELS = {"small": small, "tiny": tiny}
REPAIRS = {
    "small": (
        "linear-probing",
        "ft-init",
        "feature-extractor",
        "fst",
        "super-fine-tuning",
        "oracle-rnp",
        "ban",
    ),
    "tiny": ("npd", "sau", "bti-dbf"),
}
SEEDS, DEFENDER_DATA, TEST = 3, 640, 2000


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what badnets.py wrote, with the adopted models small and tiny")
    folder: Path = parser.parse_args().folder
    torch.set_num_threads(1)
    task = load_task("fashion-mnist")
    picture = f"picture:{folder / 'trigger.png'},margin=0"
    count = Count(task, picture)
    for model, network in MODELS.items():
        suspect = load_model(folder / model, into=network())
        choose = choose_on_test(suspect, task=task, trigger=picture, target=TARGET)
        if not done(model, "no repair", 0):
            add(model, "no repair", 0, *count(suspect.model), 0.0)
        for name, seed in itertools.product(REPAIRS[model], range(SEEDS)):
            if done(model, name, seed):
                continue
            start = time.process_time()
            oracle = {"choose_depth": choose} if name.startswith("oracle-") else {}
            repaired = repair(suspect, name, task=task, seed=seed, defender_data=DEFENDER_DATA, **oracle)
            add(model, name, seed, *count(repaired.model), time.process_time() - start)


class Count:
    """ASR and accuracy of a model on the first test images."""

    def __init__(self, task: Task, picture: str) -> None:
        attack = attack_of(None, task, trigger=picture, target=TARGET)
        if attack is None:
            raise RuntimeError("a trigger was given, so that there is an attack")
        self.attack, self.test = attack, task.split("test").select(torch.arange(TEST))

    def __call__(self, model: nn.Module) -> tuple[float, float]:
        """ASR and accuracy."""
        asr, _ = attack_success(model, self.attack, self.test)
        return float(asr or 0), accuracy(model, self.test)


def done(model: str, repair: str, seed: int) -> bool:
    """Whether the table has our row."""
    rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=COLUMNS)
    ours = rows[rows["code"] == OURS]
    return bool(((ours["model"] == model) & (ours["repair"] == repair) & (ours["seed"] == seed)).any())


def add(model: str, repair: str, seed: int, asr: float, accuracy: float, cpu_seconds: float) -> None:
    """Appends our row."""
    values = [model, repair, OURS, "", "defaults", seed, DEFENDER_DATA, asr, accuracy, round(cpu_seconds, 1)]
    row = pd.DataFrame([values], columns=COLUMNS)
    row.to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
