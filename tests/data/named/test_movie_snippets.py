"""The film-review snippets: labels from mean ratings, read from the source package in any form."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch

from anchorlab.cache.place import user_cache
from anchorlab.data import load_task
from anchorlab.data.named.movie_snippets import PACKAGE, read_ratings
from anchorlab.errors import AnchorlabError

LINES = b"".join(
    f"{number}\t{rating}\tsnippet number {number}\n".encode()
    for number, rating in enumerate([-3.0, 2.5, 0.5, -0.5, 0.0, -0.6, 0.51, 4.0] * 20, start=1)
)


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


def test_the_real_snippets_are_as_many_as_they_say():
    if not (user_cache() / PACKAGE).exists():
        pytest.skip("the source package of vaderSentiment was not fetched")
    task = load_task("movie-snippets")
    assert len(task.raw.train) + len(task.raw.test) == 10043
    assert len(load_task("movie-snippets-3").raw.train) + len(load_task("movie-snippets-3").raw.test) == 10605
