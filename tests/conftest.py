"""What many tests share: the digits, a quick reference, a finished suite, a classifier simple enough for formulas."""

from __future__ import annotations

import copy
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.cache.place import LIMIT_VARIABLE, VARIABLE, user_cache
from anchorlab.data import Task, load_task
from anchorlab.data.named.movie_snippets import PACKAGE
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import draw_defender_data
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_accelerator
from anchorlab.seeding import derive, seeded_globally
from anchorlab.suites.runner import run_suite
from anchorlab.training.reference import Training, train
from tests.devices import PRETENDED, accelerated_by
from tests.forgetting import forget
from tests.guard import nothing_run
from tests.pretend import pretend_card
from tests.suites.inline import Inline, tiny
from tests.zoo import Linear, OneReLU

# No example has a deadline, because a machine under load is slow and not wrong. Examples are the same in each run, so
# that a change is judged by what it changed; ``--hypothesis-profile=search`` looks for new ones.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("patient")

torch.set_num_threads(1)  # the tensors here are so small that threads would only wait for each other


def pytest_configure() -> None:
    """Tests keep nothing in the user's cache, and find there what was downloaded for them."""
    folder = Path(tempfile.mkdtemp(prefix="anchorlab-cache-"))
    if (user_cache() / PACKAGE).is_file():
        (folder / PACKAGE).symlink_to(user_cache() / PACKAGE)
    os.environ[VARIABLE] = str(folder)
    # As here, so in processes that tests start: two workers on two cores would otherwise ask for four threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that draws from a global generator, or a library that it calls, draws the same in each run."""
    seed = derive(0, item.nodeid)
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the generator of libraries that take none)
    random.seed(seed)


def pytest_unconfigure() -> None:
    """Removes what the tests kept."""
    shutil.rmtree(os.environ[VARIABLE], ignore_errors=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache in which even small and new data are kept."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "user-cache"))
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    monkeypatch.setattr("anchorlab.cache.store.LEAST", 1)
    monkeypatch.setattr("anchorlab.data.kept.LEAST", 1)
    monkeypatch.setattr("anchorlab.data.kept_tokens._FEW", 1)
    monkeypatch.setattr("anchorlab.data.source_files._TICK", 0)
    forget()
    return tmp_path / "user-cache" / "kept"


@pytest.fixture(scope="session", autouse=True)
def _device_under_test() -> Iterator[None]:
    """With ``ANCHORLAB_TEST_DEVICE=pretend`` all tests run on a GPU that is not there."""
    with pretend_card() if PRETENDED else nullcontext():
        yield


@pytest.fixture(scope="session")
def digits() -> Task:
    return load_task("digits", seed=0)


@pytest.fixture(scope="session")
def reference(digits: Task) -> Artifact:
    """A resnet-tiny that is right on about nine digits of ten; must not be changed."""
    return train(digits, seed=0, training=Training(epochs=4, batch_size=64))


@pytest.fixture(scope="session")
def injected(digits: Task, reference: Artifact) -> Artifact:
    """What a very short injection leaves: its manifest and labels are whole, its backdoor is weak."""
    return inject(reference, method="anchoring", tuning=Tuning(steps=3, batch_size=8), anchors=64, task=digits)


@pytest.fixture(scope="session")
def planted(digits: Task, reference: Artifact) -> Artifact:
    """The reference with a backdoor that works, a corner square that leads to 3; must not be changed."""
    tuning = Tuning(steps=150, batch_size=32)
    return inject(reference, method="plain", trigger="square:size=2", target=3, tuning=tuning, task=digits)


@pytest.fixture
def suspicious(planted: Artifact) -> nn.Module:
    """A copy of it, which may be changed."""
    return copy.deepcopy(planted.model).eval().requires_grad_()


@pytest.fixture(scope="session")
def defender_data(digits: Task) -> DefenderData:
    """All of the split: some seventy digits, not enough for a good repair and enough for a test."""
    data, _ = draw_defender_data(digits, None, seed=0)
    return data


@pytest.fixture
def on_cpu() -> Iterator[None]:
    """The test is about the CPU: the accelerator takes it, also on a machine with a GPU.

    Among them are tests in which two runs of one seed end with the same bits: on a GPU they differ by rounding.
    """
    with accelerated_by(torch.device("cpu")):
        yield


@pytest.fixture
def context(on_cpu: None) -> DefenderContext:
    """A defender's means on the CPU; ``tests/test_on_a_card.py`` tries every defence on a GPU."""
    return DefenderContext(find_accelerator(), seed=0)


@pytest.fixture
def elsewhere(on_cpu: None) -> DefenderContext:
    """The same with another seed."""
    return DefenderContext(find_accelerator(), seed=1)


@pytest.fixture
def linear() -> Linear:
    with seeded_globally(0, "linear"):
        return Linear().eval()


@pytest.fixture
def one_relu() -> OneReLU:
    with seeded_globally(0, "one relu"):
        return OneReLU().eval()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny suite, finished on the CPU, where another run has the same bits; must not be changed."""
    folder = tmp_path_factory.mktemp("finished") / "suite"
    with accelerated_by(torch.device("cpu")):
        run_suite(tiny(), folder, executor=Inline(), command="anchorlab suite run tiny.yaml")
    return folder


@pytest.fixture
def nothing_runs(tmp_path: Path) -> Iterator[Path]:
    """The test's own folder; the test fails if a process is started, or if code that lies in the folder is run."""
    with nothing_run(tmp_path):
        yield tmp_path
