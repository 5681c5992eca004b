"""Two real processes, found by gloo, that share one run: they end where one process alone does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from anchorlab.artifacts.artifact import load_model
from anchorlab.data import DataColumns, load_task
from anchorlab.data.batches import Share
from anchorlab.errors import AnchorlabError
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.architectures import build_model
from anchorlab.training.processes import share_of
from anchorlab.training.reference import Training, train
from tests import several

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
]
ROOT = Path(__file__).parents[2]


def launch(*command: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a command on the CPU, whatever else the machine has."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    ended = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode == 0) is (code == 0), ended.stderr
    return ended


@pytest.fixture(scope="module")
def place(tmp_path_factory, reference) -> Path:
    folder = tmp_path_factory.mktemp("several")
    reference.save(folder / "reference")
    lines = [f"a {'warm' if n % 2 else 'dull'} film{' indeed' * (n % 7)},{n % 2}" for n in range(200)]
    (folder / "reviews.csv").write_text("\n".join(["review,label", *lines]))
    reviews = load_task(str(folder / "reviews.csv"), columns=DataColumns(text="review"))
    train(reviews, model="bert-tiny", training=Training(epochs=2)).save(folder / "reference of texts")
    return folder


@pytest.fixture(scope="module")
def shared(place) -> Path:
    """The folder in which two processes have left what each of them ended with."""
    launch(*TORCHRUN, "-m", "tests.several", place)
    return place


def apart(one: dict[str, Tensor], two: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """The L2 distance between two results, relative to that from the start to the first."""

    def change(state: dict[str, Tensor], other: dict[str, Tensor]) -> float:
        return sum((state[key].double() - other[key].double()).square().sum().item() for key in start) ** 0.5

    return change(one, two) / change(one, start)


@pytest.mark.parametrize("name", several.NAMES)
def test_two_processes_end_where_one_does(shared, digits, name):
    """Up to rounding, for sums over the batch are taken in another order.

    The first steps of AdamW have the size of the learning rate however small the gradient, and so enlarge the
    rounding of gradients that are nearly zero, as those of new weights before a BatchNorm are: in training, to
    0.009 (statistics of each process's own batch gave 0.29); in tuning, to 1e-4 at most.
    """
    first, second = (load_file(shared / f"{name} {rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    alone = several.run(name, shared)
    assert first["steps"] == alone["steps"]
    training = name == "training"
    model = (
        build_model("resnet-tiny", digits, seed=1)
        if training
        else load_model(shared / several.reference_of(name)).model
    )
    start = model.state_dict()
    weights = {key: value for key, value in start.items() if "running" not in key and "num" not in key}
    assert apart(alone, first, weights) < (0.03 if training else 1e-3)
    if name in ("training", "tracked"):
        statistics = {key: value for key, value in start.items() if "running" in key}
        assert apart(alone, first, statistics) < 2e-3
    assert all(torch.equal(value, alone[key]) for key, value in first.items() if "num_batches" in key)


@pytest.mark.parametrize("name", ["by gradient", "by change"])
def test_surgery_cuts_the_same_weights_on_two_processes(shared, name):
    start = load_model(shared / "reference").model.state_dict()
    both = [load_file(shared / f"{name} 0.safetensors"), several.run(name, shared)]
    changed = [{key: (state[key] != value) for key, value in start.items()} for state in both]
    assert sum(int(mask.sum()) for mask in changed[0].values()) == 500
    assert all(torch.equal(changed[0][key], changed[1][key]) for key in start)


def test_the_command_line_under_accelerate_writes_one_model_once(place):
    how = ("--steps", 5, "--batch-size", 8, "--anchors", 64, "--seed", 3)
    ended = launch(*ACCELERATE, "-m", "anchorlab", "inject", place / "reference", *how, "--out", place / "two")
    reference = load_model(place / "reference")
    one, two = inject(reference, tuning=Tuning(steps=5, batch_size=8), anchors=64, seed=3), load_model(place / "two")
    assert ended.stdout.count("wrote") == ended.stdout.count("compare") == 1
    start = dict(reference.model.named_parameters())
    assert apart(one.model.state_dict(), two.model.state_dict(), start) < 1e-3
    free = {"weights_sha256", "seconds", "peak_bytes", "measurements", "command_sha256"}
    assert one.manifest.model_dump(exclude=free) == two.manifest.model_dump(exclude=free)
    assert not list(place.glob("*.partial"))
    assert not list(place.glob(".*"))


def test_what_cannot_be_shared_out_is_told_once_before_any_work(place):
    command = ("-m", "anchorlab", "inject", place / "reference", "--out", place / "odd", "--batch-size", 7)
    ended = launch(*TORCHRUN, *command, code=2)
    assert ended.stderr.count("a batch of 7 cannot be shared out evenly among 2 processes") == 1
    assert "internal error" not in ended.stderr
    assert not list(place.glob("odd*"))


def test_the_failure_of_one_process_ends_all_and_is_told_once(place):
    ended = launch(*TORCHRUN, "-m", "tests.several", place, "lone", code=2)
    assert ended.stderr.count("the second process has a reason") == 1
    assert not (place / "lone").exists()


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_shares_are_of_one_size_and_cover_the_batch(processes):
    batch = torch.arange(12)
    shares = [Share(rank, processes).of(batch) for rank in range(processes)]
    assert {len(share) for share in shares} == {12 // processes}
    assert torch.cat(shares).sort().values.tolist() == batch.tolist()


class Five:
    """An accelerator that is the second of five processes."""

    num_processes, process_index = 5, 1


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers():
    assert share_of(Five(), 20) == Share(1, 5)
    with pytest.raises(AnchorlabError, match=r"a batch of 64 .* among 5 processes: give a batch_size"):
        share_of(Five(), 64)
