"""Models that no query suits: other inputs, another tokenizer, other classes; each refusal names both."""

from __future__ import annotations

import pandas as pd
import pytest
from torch import nn

from anchorlab import AnchorlabError, audit, load_task
from anchorlab.models.pretrained import open_pretrained
from tests.zoo import save_text


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    rows = [{"text": f"a {word} film of {number}", "label": word} for number in range(60) for word in ("bad", "good")]
    pd.DataFrame(rows).to_csv(path, index=False)
    return load_task(str(path))


def opened(folder, name, classes, words=()):
    return open_pretrained(str(save_text("bert", folder / name, list(classes))), kind="text")


def test_other_classes_are_refused_with_both(tmp_path, reviews):
    two, three = opened(tmp_path, "two", ["bad", "good"]), opened(tmp_path, "three", ["bad", "even", "good"])
    with pytest.raises(AnchorlabError, match=r"has 2 classes \(bad, good\) and the candidate 3 classes \(bad, e"):
        audit(two, three, task=reviews)
    renamed = opened(tmp_path, "renamed", ["neg", "pos"])
    with pytest.raises(AnchorlabError, match="the candidate names its classes neg, pos, but the reference bad, good"):
        audit(two, renamed, task=reviews)


def test_texts_and_images_are_refused_with_both(tmp_path, reviews, reference):
    with pytest.raises(AnchorlabError, match="the reference reads texts and the candidate images"):
        audit(opened(tmp_path, "texts", ["bad", "good"]), reference, task=reviews)


def test_another_tokenizer_is_refused_with_both(tmp_path, reviews, monkeypatch):
    first, second = (opened(tmp_path, name, ["bad", "good"]) for name in ("first", "second"))
    second.encoding.tokenizer.add_tokens(["another"])
    second.encoding.__dict__.pop("tokenizer_fingerprint", None)
    with pytest.raises(AnchorlabError, match=r"by \w+ of [\d,]+ tokens and the candidate by \w+ of [\d,]+ tokens"):
        audit(first, second, task=reviews)


def test_images_of_another_size_are_refused_with_their_size(digits, reference):
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).eval()
    with pytest.raises(AnchorlabError, match="the candidate cannot read the queries of digits, which are images of 1"):
        audit(reference, wide, task=digits)
