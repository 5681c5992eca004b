"""What ``test_processes`` runs in one process and, as a script, in several: injections and a training, briefly."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.data import load_task
from anchorlab.errors import AnchorlabError
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.plain import Plain
from anchorlab.models.accelerator import find_accelerator
from anchorlab.training import fit as fitting
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.processes import main_process_output
from anchorlab.training.reference import Training, train
from anchorlab.training.resumable import run_into

#: Method and its parameters, then settings of the tuning, by a name for the test.
INJECTIONS = {
    "plain": ("plain", {}, {}),
    "augmented": ("anchoring", {}, {"augment": True}),
    "tracked": ("plain", {}, {"batchnorm": "tracked"}),
    "ewc": ("ewc", {"samples": 16, "strength": 10.0}, {}),
    "l2": ("l2", {"strength": 10.0}, {}),
    "by gradient": ("surgery", {"select": "gradient", "count": 500}, {}),
    "by change": ("surgery", {"select": "change", "count": 500}, {}),
    "text": ("anchoring", {}, {}),
    "stopped": ("plain", {}, {"steps": 60, "learning_rate": 2e-3, "stop_at_asr": 0.5}),
}
NAMES = [*INJECTIONS, "resumed", "training"]


class Interrupted(Plain):
    """Plain tuning that is interrupted at its fourth step, once."""

    armed: ClassVar[bool] = True

    def after_step(self, model, state, step):
        if self.armed and step.index == 3:
            type(self).armed = False
            raise KeyboardInterrupt


def reference_of(name: str) -> str:
    """The folder of the model that a run begins with."""
    return "reference of texts" if name == "text" else "reference"


def run(name: str, folder: Path) -> dict[str, Tensor]:
    """The weights and buffers that a run ends with, and its steps."""
    if name == "resumed":
        made = resumed(folder / f"{os.environ.get('WORLD_SIZE', 1)}.safetensors", load_model(folder / "reference"))
    elif name == "training":
        made = train("digits", seed=1, training=Training(epochs=1, batch_size=176))
    else:
        method, parameters, settings = INJECTIONS[name]
        reference = load_model(folder / reference_of(name))
        tuning = Tuning(**{"steps": 4, "batch_size": 8, "learning_rate": 1e-3} | settings)
        made = inject(reference, method=method, parameters=parameters, anchors=64, tuning=tuning, measure=False)
    state = {key: value.clone() for key, value in made.model.state_dict().items()}
    return state | {"steps": torch.tensor(made.manifest.steps)}


def resumed(path: Path, reference: Artifact) -> Artifact:
    """An injection that is interrupted after its first checkpoint, and continued."""
    tuning = Tuning(steps=6, batch_size=8)
    fitting.LOG_EVERY = 2
    for _ in range(2):
        try:
            checkpoint = Checkpoint(path, seconds=0)
            made = inject(
                reference, method=Interrupted(), anchors=64, tuning=tuning, checkpoint=checkpoint, measure=False
            )
        except KeyboardInterrupt:
            find_accelerator().wait_for_everyone()
            assert path.exists()
    fitting.LOG_EVERY = 20
    return made


def fail_on_the_second(folder: Path) -> None:
    """A run in which one process fails while the other waits for it."""
    with main_process_output():
        rank = find_accelerator().process_index

        def work(checkpoint):
            if rank == 1:
                raise AnchorlabError("the second process has a reason")
            return train("digits", training=Training(epochs=1, batch_size=176), checkpoint=checkpoint)

        try:
            run_into(folder / "lone", {}, work)
        except AnchorlabError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[1])
    if len(sys.argv) > 2:
        fail_on_the_second(place)
    load_task("digits", seed=0)
    rank = find_accelerator().process_index
    for each in NAMES:
        save_file(run(each, place), place / f"{each} {rank}.safetensors")
