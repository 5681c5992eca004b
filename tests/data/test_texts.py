"""Named text tasks: the snippets from their source package, the hub's from small local copies of the same columns."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import datasets
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from anchorlab.data import load_task
from anchorlab.data.named.movie_snippets import PACKAGE, read_ratings
from anchorlab.errors import AnchorlabError

LINES = b"".join(
    f"{number}\t{rating}\tsnippet number {number}\n".encode()
    for number, rating in enumerate([-3.0, 2.5, 0.5, -0.5, 0.0, -0.6, 0.51, 4.0] * 20, start=1)
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def tar_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"some/folder/{name}")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def package(tmp_path) -> Path:
    """A source package of the same form as the real one."""
    inner = tar_of("movieReviewSnippets_GroundTruth.txt", LINES)
    (tmp_path / PACKAGE).write_bytes(tar_of("hutto_ICWSM_2014.tar.gz", inner))
    return tmp_path / PACKAGE


def test_labels_come_from_ratings_beyond_the_margin(package):
    """Of eight ratings, -3 and -0.6 are negative, 2.5, 0.51 and 4 positive; 0.5, -0.5 and 0 lie within the margin."""
    task = load_task("movie-snippets", data=str(package))
    everything = torch.cat([task.raw.train.labels, task.raw.test.labels])
    assert everything.bincount().tolist() == [40, 60]
    assert (task.raw.test.labels.bincount().tolist(), task.classes) == ([8, 12], ("negative", "positive"))
    three = load_task("movie-snippets-3", data=str(package))
    everything = torch.cat([three.raw.train.labels, three.raw.test.labels])
    assert everything.bincount().tolist() == [40, 60, 60]
    assert three.classes == ("negative", "neutral", "positive")


def test_the_test_part_is_the_same_for_every_seed(package):
    first, other = (load_task("movie-snippets", data=str(package), seed=seed) for seed in (0, 1))
    assert first.split("test").texts == other.split("test").texts
    assert first.split("owner").texts != other.split("owner").texts


def test_package_folder_and_file_are_the_same(package, tmp_path):
    plain = tmp_path / "plain" / "movieReviewSnippets_GroundTruth.txt"
    plain.parent.mkdir()
    plain.write_bytes(LINES)
    found = [
        load_task("movie-snippets", data=str(place)).split("owner").texts
        for place in (package, package.parent, plain, plain.parent)
    ]
    assert found[0] == found[1] == found[2] == found[3]


def test_what_is_no_package_is_refused_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(
        AnchorlabError, match=r"there is no .*vaderSentiment-2\.5\.tar\.gz: fetch it with: pip download"
    ):
        load_task("movie-snippets", data=str(tmp_path))
    (tmp_path / PACKAGE).write_bytes(b"no archive")
    with pytest.raises(AnchorlabError, match="is not the source package of vaderSentiment"):
        load_task("movie-snippets", data=str(tmp_path))
    (tmp_path / PACKAGE).write_bytes(tar_of("something.txt", b"else"))
    with pytest.raises(AnchorlabError, match=r"it holds no hutto_ICWSM_2014\.tar\.gz"):
        load_task("movie-snippets", data=str(tmp_path))


@pytest.mark.parametrize("line", [b"1\t2\n", b"1\tmuch\ttext\n", b"\n"])
def test_a_line_that_is_none_is_named(line):
    with pytest.raises(AnchorlabError, match="line 161 of movieReviewSnippets"):
        read_ratings(LINES + line)


def parts(column: str, names: list[str], test: str, *, label: object = None) -> DatasetDict:
    features = Features({column: Value("string"), "label": label or ClassLabel(names=names), "idx": Value("int32")})

    def part(count: int) -> Dataset:
        rows = {column: [f"text {n}" for n in range(count)], "label": [n % len(names) for n in range(count)]}
        return Dataset.from_dict({**rows, "idx": list(range(count))}, features=features)

    return DatasetDict({"train": part(60), test: part(12)})


HUB = {
    "sst2": ("sentence", ["negative", "positive"], "validation"),
    "imdb": ("text", ["neg", "pos"], "test"),
    "ag-news": ("text", ["World", "Sports", "Business", "Sci/Tech"], "test"),
}


@pytest.mark.parametrize("name", HUB)
@pytest.mark.parametrize("form", ["saved", "parquet", "csv"])
def test_local_copies_of_the_hubs_columns_are_read(tmp_path, name, form):
    column, names, test = HUB[name]
    copy = parts(column, names, test)
    if form == "saved":
        copy.save_to_disk(str(tmp_path / "copy"))
    else:
        for part, rows in copy.items():
            (tmp_path / "copy").mkdir(exist_ok=True)
            path = str(tmp_path / "copy" / (f"{part}-00000-of-00001.parquet" if form == "parquet" else f"{part}.csv"))
            rows.to_parquet(path) if form == "parquet" else rows.to_csv(path)
    task = load_task(name, data=str(tmp_path / "copy"))
    assert task.kind == "text"
    assert task.split("test").texts == tuple(f"text {n}" for n in range(12))
    assert task.split("test").labels.tolist() == [n % len(names) for n in range(12)]
    assert len(task.classes) == len(names)


def test_a_missing_part_or_a_label_outside_the_classes_is_named(tmp_path):
    parts("sentence", ["negative", "positive"], "other").save_to_disk(str(tmp_path / "copy"))
    with pytest.raises(AnchorlabError, match="has the parts 'train', 'other', expected 'train' and 'validation'"):
        load_task("sst2", data=str(tmp_path / "copy"))
    parts("sentence", ["a", "b", "c"], "validation", label=Value("int64")).save_to_disk(str(tmp_path / "third"))
    with pytest.raises(AnchorlabError, match="has the label '2', which no training example has"):
        load_task("sst2", data=str(tmp_path / "third"))


def test_the_real_snippets_are_as_many_as_they_say():
    from anchorlab.data.named.movie_snippets import USUAL_FOLDER

    if not (USUAL_FOLDER / PACKAGE).exists():
        pytest.skip("the source package of vaderSentiment was not fetched")
    task = load_task("movie-snippets")
    assert len(task.raw.train) + len(task.raw.test) == 10043
    assert len(load_task("movie-snippets-3").raw.train) + len(load_task("movie-snippets-3").raw.test) == 10605
