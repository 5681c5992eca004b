"""AG News: 127,600 news items, four classes (Zhang, Zhao and LeCun 2015, arXiv 1509.01626)."""

from __future__ import annotations

from functools import partial

from anchorlab.data.hub_texts import TextSource, load_texts
from anchorlab.data.task import TaskDefinition

_SOURCE = TextSource(
    task="ag-news",
    hub_name="fancyzhx/ag_news",
    text_column="text",
    test_parts=("test",),
    classes=("World", "Sports", "Business", "Sci/Tech"),
)

AG_NEWS = TaskDefinition(
    name="ag-news",
    load=partial(load_texts, _SOURCE),
    architecture="bert-base",
    epochs=3,
    kind="text",
    batch_size=32,
    learning_rate=5e-5,
    tuning_rate=5e-5,
    max_length=128,
    description="news items, 4 classes, their first 128 tokens (the hub, or a local copy)",
    cites=("zhang2015character",),
)
