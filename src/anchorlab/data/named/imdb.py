"""IMDB: 50,000 film reviews, two classes (Maas et al. 2011)."""

from __future__ import annotations

from functools import partial

from anchorlab.data.hub_texts import TextSource, load_texts
from anchorlab.data.task import TaskDefinition

_SOURCE = TextSource(
    task="imdb",
    hub_name="stanfordnlp/imdb",
    text_column="text",
    test_parts=("test",),
    classes=("negative", "positive"),
    stored_classes=("neg", "pos"),
)

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
