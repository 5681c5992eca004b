"""How much of a backdoor does fine-tuning leave, with its clean images shifted and without?

    python experiments/fine_tuning/run.py runs/fine-tuning

Six references that nothing else uses, each with a plain five-pixel backdoor, on Fashion-MNIST (resnet-mini, 4 epochs).
Each model is fine-tuned on the same 640 clean examples, with images shifted by up to 4 pixels, as published code does,
and as they are. Models are kept in the folder, so that the same command continues after an interruption; it takes three
quarters of an hour on one core. Writes fine_tuning.csv here: a row for each reference and form, with the step whose
weights were kept. A repair that did not keep its last step stopped early, by the defender's held-back accuracy.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab import Artifact, Task, Training, Tuning, compare, inject, load_model, load_task, repair, train
from anchorlab.defender.data import draw_defender_data
from anchorlab.repairs import FineTuning

HERE = Path(__file__).parent
REFERENCES = range(300, 306)
EXAMPLES = 640
FORMS = {"shift": FineTuning(), "none": FineTuning(augment="none")}


def main() -> None:
    """Makes what is not there yet and writes the table after each reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the models")
    folder = parser.parse_args().folder
    rows: list[dict[str, Any]] = []
    for seed in REFERENCES:
        rows += rows_of(seed, folder / f"reference-{seed}")
        pd.DataFrame(rows).to_csv(HERE / "fine_tuning.csv", index=False, float_format="%.6g", lineterminator="\n")
        print(rows[-2], rows[-1], sep="\n", flush=True)


def rows_of(seed: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each form of fine-tuning of one reference's model."""
    task = load_task("fashion-mnist", seed=seed)
    reference = kept(folder / "reference", lambda: trained(task, seed))
    injected = kept(folder / "plain", lambda: planted(reference, task, seed))
    before = compare(reference, injected, task=task)
    rows = []
    for name, form in FORMS.items():
        repaired = kept(folder / name, lambda form=form: repair(injected, form, defender_data=EXAMPLES, seed=seed))
        after = compare(reference, repaired, task=task)
        steps = form.steps(len(draw_defender_data(task, EXAMPLES, seed=seed)[0].train))
        found = re.search(r"after (\d+) of \d+ steps", repaired.manifest.note or "")
        rows.append(
            {
                "reference_seed": seed,
                "augment": name,
                "accuracy_reference": before.accuracy_reference,
                "accuracy_before": before.accuracy,
                "asr_before": before.asr,
                "accuracy": after.accuracy,
                "asr": after.asr,
                "step_kept": int(found[1]) if found else steps,
                "steps": steps,
                "seconds": repaired.manifest.seconds,
            }
        )
    return rows


def trained(task: Task, seed: int) -> Artifact:
    """The owner's clean model."""
    return train(task, model="resnet-mini", training=Training(epochs=4), seed=seed)


def planted(reference: Artifact, task: Task, seed: int) -> Artifact:
    """The model with a plain backdoor, tuned as in the suite defences."""
    return inject(reference, method="plain", tuning=Tuning(steps=300, batch_size=32), task=task, seed=seed)


def kept(folder: Path, make: Callable[[], Artifact]) -> Artifact:
    """The model of a folder, made first if it is not there."""
    if not folder.exists():
        make().save(folder)
    return load_model(folder)


if __name__ == "__main__":
    main()
