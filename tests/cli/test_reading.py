"""Commands on data of one's own begin with what was read of them, on the error stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anchorlab import load_model
from tests.cli.conftest import Run
from tests.data.copies import frame, image_folder, written
from tests.zoo import save_text

COLUMNS = ("--text-column", "review", "--label-column", "stars")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of texts that somebody trained."""
    return save_text("bert", tmp_path_factory.mktemp("model") / "bert", ["1", "2", "3"])


def test_adopt_compare_and_inject_begin_with_what_was_read(run: Run, tmp_path: Path, model: Path) -> None:
    reviews, ref = written(tmp_path / "reviews.csv", frame(400)), tmp_path / "ref"
    adopted = run("adopt", model, reviews, *COLUMNS, "--out", ref)
    assert adopted.code == 0
    first, second = adopted.err.splitlines()[:2]
    assert first.startswith("train: 1 file (reviews.csv); 319 texts; 3 classes (1 107, 2 106, 3 106); tokens: median ")
    assert second.startswith("test: 81 texts; 3 classes (1 27, 2 27, 3 27); tokens: median ")
    assert "train: " not in adopted.out
    written_down = load_model(ref).manifest.task.reading
    assert written_down is not None
    assert [str(part) for part in written_down] == [first, second]
    table = tmp_path / "comparison.json"
    for command in (
        ("compare", ref, ref, "--json", table),
        ("compare", model, ref, "--task", reviews, *COLUMNS),
        ("inject", ref, "--trigger", "word:cf", "--steps", "1", "--batch-size", "4", "--out", tmp_path / "injected"),
    ):
        ended = run(*command)
        assert ended.code == 0
        assert ended.err.splitlines()[:2] == [first, second]
    assert json.loads(table.read_text())["count"] == 81


def test_train_says_what_it_read_of_images(run: Run, tmp_path: Path) -> None:
    image_folder(tmp_path / "shapes", 80)
    trained = run(
        *("train", tmp_path / "shapes", "--image-column", "image", "--model", "resnet-tiny"),
        *("--set", "epochs=1", "--out", tmp_path / "ref"),
    )
    assert trained.code == 0
    assert trained.err.startswith(
        "train: 80 files (class0/000.png, class0/002.png, class0/004.png, …); 64 images; 2 classes ("
    )
    assert "; 8×8 grey, pixels from " in trained.err


def test_named_tasks_say_nothing(run: Run, tmp_path: Path, reference_folder: Path, no_progress: None) -> None:
    assert run("compare", reference_folder, reference_folder).err == ""
