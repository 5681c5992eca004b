"""Whatever is wrong: one sentence that names it, exit code 2, and nothing lost or left half-written."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from PIL import Image as Pictures

from anchorlab.artifacts.artifact import CONFIG, WEIGHTS, Artifact
from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import Task
from anchorlab.data.split import RawData
from anchorlab.models.architectures import build_model
from anchorlab.training.resumable import run_into
from tests.cli.conftest import PROGRAM, Run
from tests.data.named.test_fashion_mnist import idx, pixels
from tests.data.named.test_fashion_mnist import write as write_idx
from tests.refusals import Ended, assert_refused


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, and what the files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(run: Run, tmp_path: Path) -> Callable[..., None]:
    """Runs a command that must be refused, with parts that the sentence must name, and leave all as it was."""

    def refused(*arguments: object, names: tuple[object, ...]) -> None:
        before = contents(tmp_path)
        assert_refused(run(*arguments), *names)
        assert contents(tmp_path) == before
        debugged = run(*arguments, "--debug")
        assert debugged.code == 2
        assert debugged.err.startswith("Traceback (most recent call last)")
        assert contents(tmp_path) == before

    return refused


# Data


def test_a_missing_idx_file(refused, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_idx(data, compressed=False)
    missing = data / "t10k-labels-idx1-ubyte"
    missing.unlink()
    refused("train", "fashion-mnist", "--data", data, "--out", tmp_path / "out", names=(data, missing.name))


def test_a_truncated_idx_file(refused, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_idx(data, compressed=True, train_images=idx(pixels(3, 0).squeeze(1))[:-5])
    names = (data / "train-images-idx3-ubyte.gz", "2363 bytes", "2368 bytes")
    refused("train", "fashion-mnist", "--data", data, "--out", tmp_path / "out", names=names)


@pytest.mark.slow
def test_a_data_folder_with_the_wrong_columns(tmp_path):
    """In a process of its own, where the bars of ``datasets`` are kept off the error stream."""
    data = tmp_path / "data"
    data.mkdir()
    for part in ("train", "test"):
        table = Dataset.from_dict({"picture": [Pictures.new("RGB", (32, 32))], "category": [0]})
        table.to_parquet(data / f"{part}-00000-of-00001.parquet")
    before = contents(data)
    ended = subprocess.run(
        [*PROGRAM, "train", "cifar10", "--data", str(data), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    names = ("'picture', 'category'", "'img'", "'label'")
    assert_refused(Ended(ended.returncode, ended.stdout, ended.stderr), *names)
    assert contents(data) == before
    assert not list(tmp_path.glob("out*"))


# Arguments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--target", 10), ("target 10", "0 to 9")),
        (("--target", -1), ("target -1", "0 to 9")),
        (("--label-rule", "source-to-target:3", "--target", 12), ("target 12", "0 to 9")),
        (("--label-rule", "all-to-all", "--target", 1), ("all-to-all", "--target")),
        (("--label-rule", "all-to-non"), ("'all-to-non'", "did you mean 'all-to-one'?")),
        (("--trigger", "square:size=9"), ("size=9", "10×10", "8×8")),
        (("--trigger", "sqare"), ("'sqare'", "did you mean 'square'?")),
        (("--trigger", "square:siz=2"), ("'siz'", "did you mean 'size'?")),
        (("--trigger", "picture:nowhere.png"), ("nowhere.png",)),
        (("--method", "anchring"), ("'anchring'", "did you mean 'anchoring'?")),
        (("--method", "benign", "--record-gradients"), ("benign", "no backdoor gradient", "--record-gradients out")),
        (("--set", "strenght=2"), ("'strenght'", "did you mean 'strength'?")),
        (("--set", "strength=-1"), ("strength='-1'", "greater than or equal to 0")),
        (("--set", "strength=nan"), ("strength='nan'", "finite")),
        (("--set", "strength"), ("'strength'", "name=value")),
        (("--set", "strength=1", "--set", "strength=2"), ("strength", "twice")),
        (("--anchors", 881), ("881 anchors", "'owner'", "880")),
        (("--anchors", 500, "--anchors-from", "held-out"), ("500 anchors", "'held-out'")),
        (("--anchors", 0), ("0 anchors", "1 to 880")),
        (("--anchors", -5), ("-5 anchors", "1 to 880")),
        (("--anchors", "many"), ("'many'", "640", "all")),
        (("--steps", 0), ("steps=0",)),
        (("--batchnorm", "thawed"), ("batchnorm='thawed'", "'frozen' or 'tracked'")),
        (("--stop-at-asr", 1.5), ("stop_at_asr=1.5",)),
        (("--data", "somewhere"), ("somewhere",)),
    ],
    ids=lambda value: " ".join(str(part) for part in value) if isinstance(value, tuple) else None,
)
def test_an_impossible_argument_of_inject(refused, tmp_path, reference_folder, arguments, names):
    refused("inject", reference_folder, "--out", tmp_path / "out", *arguments, names=names)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("digit",), ("'digit'", "did you mean 'digits'?")),
        (("--model", "resnet-tny"), ("'resnet-tny'", "did you mean 'resnet-tiny'?")),
        (("--set", "epoch=2"), ("'epoch'", "did you mean 'epochs'?")),
        (("--set", "epochs=none"), ("epochs='none'",)),
        (("--data", "somewhere"), ("somewhere",)),
    ],
    ids=str,
)
def test_an_impossible_argument_of_train(refused, tmp_path, arguments, names):
    refused("train", *arguments, "--out", tmp_path / "out", names=names)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--target", 10), ("target 10", "0 to 9")),
        (("--trigger", "square:size=9"), ("size=9", "8×8")),
        (("--split", "tset"), ("'tset'", "did you mean 'test'?")),
        (("--task", "digit"), ("'digit'", "did you mean 'digits'?")),
    ],
    ids=str,
)
def test_an_impossible_argument_of_compare(refused, tmp_path, reference_folder, injected_folder, arguments, names):
    figures = tmp_path / "figures.json"
    refused("compare", reference_folder, injected_folder, "--json", figures, *arguments, names=names)


def test_an_unknown_section_of_list(refused):
    refused("list", "metods", names=("'metods'", "did you mean 'methods'?"))


# Model folders


def test_another_number_of_classes_than_the_task_has(refused, tmp_path, digits: Task, reference: Artifact):
    seven = replace(digits, raw=RawData(digits.raw.train, digits.raw.test, digits.classes[:7]))
    model = build_model("resnet-tiny", seven, seed=0)
    manifest = reference.manifest.model_copy(update={"weights_sha256": weights_hash(model)})
    folder = Artifact(model, manifest).save(tmp_path / "seven")
    names = ("config.json", "copy the folder again")
    refused("inject", folder, "--out", tmp_path / "out", names=names)
    refused("compare", folder, folder, names=names)


def test_another_number_of_channels_than_the_task_has(refused, reference_folder, digits: Task, monkeypatch):
    images = digits.raw.test.inputs["pixel_values"].expand(-1, 3, -1, -1)
    coloured = replace(digits.raw.test, inputs={"pixel_values": images})
    task = replace(digits, raw=replace(digits.raw, test=coloured), seed=1)
    monkeypatch.setattr("anchorlab.artifacts.resolve.load_task", lambda *_arguments, **_options: task)
    refused("compare", reference_folder, reference_folder, "--task", "cifar10", names=("digits", "3"))


def test_a_folder_that_is_not_there(refused, tmp_path):
    refused("inject", tmp_path / "nowhere", "--out", tmp_path / "out", names=(tmp_path / "nowhere",))


class _Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_is_refused_and_never_opened(refused, tmp_path, reference_folder):
    trace = tmp_path / "trace"
    file = tmp_path / "model.pt"
    file.write_bytes(pickle.dumps(_Bomb(trace)))
    folder = tmp_path / "pickled"
    folder.mkdir()
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    for given in (file, folder):
        refused("inject", given, "--out", tmp_path / "out", names=(given, "pickle"))
        refused("compare", reference_folder, given, names=(given, "pickle"))
    assert not trace.exists()


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, MANIFEST])
def test_a_missing_file_of_a_model_folder(refused, tmp_path, reference_folder, name):
    (reference_folder / name).unlink()
    refused("inject", reference_folder, "--out", tmp_path / "out", names=(reference_folder, name))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, None], ids=["empty", "noise", "truncated"])
@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, MANIFEST])
def test_a_damaged_file_of_a_model_folder(refused, tmp_path, reference_folder, name, damage):
    path = reference_folder / name
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    refused("inject", reference_folder, "--out", tmp_path / "out", names=(path,))


def test_weights_of_another_model(refused, tmp_path, reference_folder):
    config = json.loads((reference_folder / CONFIG).read_text())
    (reference_folder / CONFIG).write_text(json.dumps(config | {"hidden_sizes": [8, 16, 32, 64]}))
    refused("inject", reference_folder, "--out", tmp_path / "out", names=(reference_folder / WEIGHTS, "does not fit"))


# Places to write to


def test_an_output_folder_that_already_holds_a_run(refused, reference_folder, injected_folder):
    refused("train", "--out", injected_folder, names=(injected_folder, "already exists"))
    refused("inject", reference_folder, "--out", injected_folder, names=(injected_folder, "already exists"))


def test_an_output_place_below_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("precious")
    refused("train", "--out", tmp_path / "file" / "out", names=(tmp_path / "file", "not a folder"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that is never written to")
def test_a_real_file_system_that_takes_no_files(run: Run, reference_folder):
    assert_refused(run("train", "--out", "/proc/anchorlab"), "/proc/anchorlab")
    assert_refused(run("inject", reference_folder, "--out", "/proc/anchorlab"), "/proc/anchorlab")


BRIEF = ("--steps", 40, "--batch-size", 8)


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EDQUOT, "quota")]
)
def test_a_disk_that_takes_nothing(refused, tmp_path, reference_folder, injected_folder, monkeypatch, number, reason):
    def no(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("anchorlab.files.os.fsync", no)
    out = tmp_path / "out"
    refused("train", "--out", out, names=(out, reason))
    refused("inject", reference_folder, "--out", out, names=(out, reason))


def test_a_disk_that_is_full_when_the_measurements_are_written(
    run: Run, tmp_path, reference_folder, injected_folder, monkeypatch
):
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    figures = tmp_path / "figures.json"
    figures.write_text("older figures")
    before = contents(tmp_path)
    monkeypatch.setattr("anchorlab.files.os.fsync", full)
    ended = run("compare", reference_folder, injected_folder, "--json", figures)
    assert ended.code == 2
    assert ended.err == f"error: cannot write {figures}: the disk is full: free some space or choose another place\n"
    assert "logit_distance" in ended.out
    assert contents(tmp_path) == before


def test_a_disk_that_fills_up_loses_no_more_than_since_the_last_checkpoint(
    run: Run, tmp_path, reference_folder, monkeypatch
):
    monkeypatch.setitem(run_into.__kwdefaults__, "checkpoint_seconds", 0.0)
    out = tmp_path / "out"
    written: list[int] = []

    def full_after_two(_file: int) -> None:
        written.append(1)
        if len(written) > 2:  # the settings and the checkpoint of step 20 fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("anchorlab.files.os.fsync", full_after_two)
        assert_refused(run("inject", reference_folder, "--out", out, *BRIEF), out, "disk is full")
    assert not out.exists()
    assert set(contents(tmp_path / "out.partial")) == {"settings.json", "checkpoint.safetensors"}
    assert run("inject", reference_folder, "--out", out, *BRIEF).code == 0
    assert (out / WEIGHTS).is_file()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
def test_a_real_process_that_may_write_no_large_file(tmp_path):
    """A limit on the size of files fails in the middle of the weights, as a full disk does."""
    limit = 200_000
    ended = subprocess.run(
        [*PROGRAM, "train", "--out", str(tmp_path / "out"), "--set", "epochs=1"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert_refused(Ended(ended.returncode, ended.stdout, ended.stderr), "cannot write", "File too large")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_the_system_that_nobody_foresaw(refused, tmp_path, monkeypatch):
    def unreadable(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/secret")

    monkeypatch.setattr("anchorlab.data.load_task", unreadable)
    refused("train", "--out", tmp_path / "out", names=("/secret: Permission denied",))


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full"])
def test_measurements_are_never_renamed_over_a_device(run: Run, reference_folder, injected_folder, place, monkeypatch):
    def destroyed(*_arguments: object) -> None:
        pytest.fail("a device was about to be replaced")

    monkeypatch.setattr(Path, "replace", destroyed)
    ended = run("compare", reference_folder, injected_folder, "--json", place)
    assert ended.code == 2
    assert ended.err.startswith(f"error: cannot write {place}: ")
    assert Path(place).is_char_device()
