"""The world of the sweep: a whole example of each input, and a folder of odd ones."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from anchorlab.artifacts.artifact import Artifact
from anchorlab.cli import main
from tests.suites.inline import TINY
from tests.sweep.attempt import World
from tests.sweep.kinds import make_odd_paths
from tests.zoo import save_text

#: Longest try in seconds, before the whole run ends with the place where it hangs; a try takes less than one.
_ENDLESS = 600

#: Memory of this process in bytes, so that a number that slips through does not take the machine's.
_MEMORY = 24 * 2**30


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, reference: Artifact, injected: Artifact, finished: Path) -> World:
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    whole = folder / "whole"
    whole.mkdir()
    reference.save(whole / "ref")
    injected.save(whole / "cand")
    for number in range(40):
        place = whole / "pics" / "train" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(place / f"{number}.png")
    shutil.copytree(whole / "pics" / "train", whole / "pics" / "test")
    rows = [f"a {'good' if n % 2 else 'bad'} film of {n},{'pos' if n % 2 else 'neg'}" for n in range(80)]
    (whole / "reviews.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    save_text("bert", whole / "bert", ["neg", "pos"])
    columns = ["--text-column", "text", "--label-column", "label"]
    with contextlib.suppress(SystemExit):
        main(["adopt", str(whole / "bert"), str(whole / "reviews.csv"), "--out", str(whole / "textref"), *columns])
    np.save(whole / "logits.npy", rng.normal(size=(10, 2)))
    np.save(whole / "labels.npy", np.arange(10) % 2)
    (whole / "suite.yaml").write_text(TINY)
    shutil.copytree(finished, whole / "suite")
    (folder / "odd").mkdir()
    make_odd_paths(folder / "odd")
    places = {
        "REF": "ref",
        "CAND": "cand",
        "TEXTREF": "textref",
        "PICS": "pics",
        "CSV": "reviews.csv",
        "LOGITS": "logits.npy",
        "LABELS": "labels.npy",
        "SUITE": "suite",
        "FILE": "suite.yaml",
    }
    return World(folder, {word: whole / name for word, name in places.items()})


@pytest.fixture(scope="session")
def real_stderr(pytestconfig: pytest.Config) -> Iterator[IO[str]]:
    """The error stream of the run, which pytest does not capture."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        number = os.dup(2)
    with os.fdopen(number, "w") as stream:
        yield stream


@pytest.fixture(autouse=True)
def _ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_stderr: IO[str]) -> Iterator[None]:
    """Works in a folder of the test's own, and ends the run with a traceback where a try has no end."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, before[1]))
    faulthandler.dump_traceback_later(_ENDLESS, exit=True, file=real_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
    resource.setrlimit(resource.RLIMIT_AS, before)
