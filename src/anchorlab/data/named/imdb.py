"""IMDB: 50,000 film reviews, two classes (Maas et al. 2011); with all of its test part, or a tenth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from anchorlab.data.by_hash import with_smaller_test
from anchorlab.data.hub_texts import TextSource, load_texts
from anchorlab.data.split import RawData
from anchorlab.data.task import TaskDefinition

_SOURCE = TextSource(
    task="imdb",
    hub_name="stanfordnlp/imdb",
    text_column="text",
    test_parts=("test",),
    classes=("negative", "positive"),
    stored_classes=("neg", "pos"),
)


def load_with_smaller_test(data: str | None) -> RawData:
    """The same with 2,500 of the test part's reviews, chosen by their hashes; ``data`` as for ``load_texts``."""
    return with_smaller_test(load_texts(_SOURCE, data), 2500)


IMDB = TaskDefinition(
    name="imdb",
    load=partial(load_texts, _SOURCE),
    architecture="bert-base",
    epochs=3,
    kind="text",
    batch_size=32,
    learning_rate=5e-5,
    tuning_rate=5e-5,
    max_length=256,
    description="film reviews, 2 classes, their first 256 tokens (the hub, or a local copy)",
    cites=("maas2011learning",),
)

IMDB_2500 = replace(
    IMDB,
    name="imdb-2500",
    load=load_with_smaller_test,
    description="the same with 2,500 of the 25,000 test reviews, chosen by their hashes",
)
