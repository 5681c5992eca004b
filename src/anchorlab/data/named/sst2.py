"""SST-2: 68,221 phrases and sentences of film reviews, two classes (Socher et al. 2013).

The labels of its own test part were never published, so its validation part, 872 sentences, is the test part here. The
training part holds 67,349 phrases, of which 6,885 are whole sentences. 2,000 of these, chosen by their hashes, join the
test part; the others are cut into splits, each with what is a phrase of it (``anchorlab.data.sentences``).
"""

from __future__ import annotations

from anchorlab.data.cut import Fractions
from anchorlab.data.hub_texts import TextSource, load_texts
from anchorlab.data.sentences import with_further_test
from anchorlab.data.split import RawData
from anchorlab.data.task import TaskDefinition

_SOURCE = TextSource(
    task="sst2",
    hub_name="stanfordnlp/sst2",
    text_column="sentence",
    test_parts=("validation", "test"),
    classes=("negative", "positive"),
)

#: Whole sentences of the training part that are measured beside the validation part.
_FURTHER_TEST = 2000


def load(data: str | None) -> RawData:
    """SST-2 with a larger test part; ``data`` as for ``load_texts``."""
    return with_further_test(load_texts(_SOURCE, data), _FURTHER_TEST)


SST2 = TaskDefinition(
    name="sst2",
    load=load,
    architecture="bert-base",
    epochs=3,
    kind="text",
    batch_size=32,
    learning_rate=5e-5,
    tuning_rate=5e-5,
    max_length=None,
    # Of 4,884 whole sentences: 342, 1,001 and 684.
    fractions=Fractions(held_out=0.07, selection=0.205, defender=0.14),
    by_sentence=True,
    description="film review sentences and their phrases, 2 classes, cut by sentence (the hub, or a local copy)",
    cites=("socher2013recursive",),
)
