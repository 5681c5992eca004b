"""Movie-review snippets: 10,605 sentences and phrases, each with the mean of some twenty people's ratings, -4 to 4.

Hutto and Gilbert 2014, "VADER: a parsimonious rule-based model for sentiment analysis of social media text" (ICWSM),
after Pang and Lee's sentences; in the source package of vaderSentiment 2.5 on PyPI, MIT licence. Labels come from the
mean rating: ``movie-snippets`` takes ratings more than 0.5 from zero, ``movie-snippets-3`` takes all and calls those
within 0.5 of zero neutral. The data have no test part, so a fifth of each class, the same for every seed, becomes one.
"""

from __future__ import annotations

import io
import tarfile
from functools import partial
from pathlib import Path

import torch

from anchorlab.cache.place import user_cache
from anchorlab.data.cut import Fractions, cut_splits
from anchorlab.data.sources import data_path
from anchorlab.data.split import RawData, Split
from anchorlab.data.task import TaskDefinition
from anchorlab.errors import AnchorlabError

PACKAGE = "vaderSentiment-2.5.tar.gz"

_ARCHIVE = "hutto_ICWSM_2014.tar.gz"
_FILE = "movieReviewSnippets_GroundTruth.txt"
#: Mean ratings this near to zero are neither positive nor negative.
MARGIN = 0.5

_TEST = Fractions(held_out=0.0, selection=0.0, defender=0.2)


def load(classes: tuple[str, ...], data: str | None) -> RawData:
    """The snippets with labels from their mean ratings.

    Args:
        classes: negative and positive; with neutral between them, nothing is left out.
        data: the source package, a folder that holds it, or the file of ratings itself; None for anchorlab's folder in
            the user's cache.

    Raises:
        AnchorlabError: if the file is not there, or not the expected one.
    """
    ratings, texts = read_ratings(_content(data_path(data, user_cache())))
    sides = torch.where(ratings.abs() > MARGIN, ratings.sign().long(), 0)
    if "neutral" in classes:
        kept, labels = torch.arange(len(sides)), sides + 1
    else:
        kept = sides.nonzero().flatten()
        labels = (sides[kept] + 1) // 2
    everything = Split({}, labels, tuple(texts[index] for index in kept.tolist()))
    parts = cut_splits(labels, _TEST, seed=0)
    return RawData(everything.select(parts["owner"]), everything.select(parts["defender"]), classes)


def read_ratings(content: bytes) -> tuple[torch.Tensor, list[str]]:
    """Mean ratings, float64 ``[N]``, and texts, from lines of number, mean rating and text with tabs between them.

    Raises:
        AnchorlabError: naming the first line that has another form.
    """
    ratings, texts = [], []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        try:
            _, rating, text = line.split("\t")
            ratings.append(float(rating))
            texts.append(text.strip())
        except ValueError as error:
            raise AnchorlabError(
                f"movie-snippets: line {number} of {_FILE} is not number, mean rating and text with tabs between them: "
                f"fetch it again with: {_fetch()}"
            ) from error
    if not texts:
        raise AnchorlabError(f"movie-snippets: {_FILE} is empty: fetch it again with: {_fetch()}")
    return torch.tensor(ratings, dtype=torch.float64), texts


def _fetch() -> str:
    return f"pip download vaderSentiment==2.5 --no-deps --no-binary :all: --dest {user_cache()}"


def _content(location: Path) -> bytes:
    """The content of the file of ratings, which may lie in a folder or in the source package."""
    path = location / PACKAGE if location.is_dir() else location
    if location.is_dir() and (location / _FILE).is_file():
        path = location / _FILE
    if not path.is_file():
        raise AnchorlabError(
            f"movie-snippets: there is no {path}: fetch it with: {_fetch()}; or give --data with the file {PACKAGE}, a "
            f"folder that holds it, or {_FILE}"
        )
    if path.suffix == ".txt":
        return path.read_bytes()
    try:
        return _member(_member(path.read_bytes(), _ARCHIVE), _FILE)
    except (tarfile.TarError, EOFError, OSError, KeyError) as error:
        raise AnchorlabError(
            f"movie-snippets: {path} is not the source package of vaderSentiment 2.5 ({error}): fetch it with: "
            f"{_fetch()}"
        ) from error


def _member(archive: bytes, name: str) -> bytes:
    """The content of a file in a tar archive, in whichever folder it lies."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            file = opened.extractfile(member) if Path(member.name).name == name else None
            if file is not None:
                return file.read()
    raise KeyError(f"it holds no {name}")


def _definition(name: str, classes: tuple[str, ...], description: str) -> TaskDefinition:
    return TaskDefinition(
        name=name,
        load=partial(load, classes),
        architecture="minilm",
        epochs=3,
        description=description,
        kind="text",
        batch_size=32,
        learning_rate=1e-4,
        tuning_rate=1e-4,
        cites=("hutto2014vader",),
    )


MOVIE_SNIPPETS = _definition(
    "movie-snippets", ("negative", "positive"), "film review snippets, 2 classes (PyPI's vaderSentiment 2.5, MIT)"
)
MOVIE_SNIPPETS_3 = _definition(
    "movie-snippets-3",
    ("negative", "neutral", "positive"),
    "the same with those rated near zero as a third class",
)
