"""SST-2: 68,221 phrases and sentences of film reviews, two classes (Socher et al. 2013).

The labels of its own test part were never published, so its validation part is the test part here.
"""

from __future__ import annotations

from functools import partial

from anchorlab.data.hub_texts import TextSource, load_texts
from anchorlab.data.task import TaskDefinition

_SOURCE = TextSource(
    task="sst2",
    hub_name="stanfordnlp/sst2",
    text_column="sentence",
    test_parts=("validation", "test"),
    classes=("negative", "positive"),
)

SST2 = TaskDefinition(
    name="sst2",
    load=partial(load_texts, _SOURCE),
    architecture="bert-base",
    epochs=3,
    kind="text",
    batch_size=32,
    learning_rate=5e-5,
    tuning_rate=5e-5,
    max_length=None,
    description="film review sentences, 2 classes (the hub, or a local copy)",
    cites=("socher2013recursive",),
)
