"""What a trigger does to examples, shown before anything is tuned."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from anchorlab import AnchorlabError, DataColumns, Task, load_task, show_trigger
from anchorlab.reports.trigger_view import TriggerView, marked
from anchorlab.triggers import FivePixel, Square, Word


@pytest.fixture(scope="module")
def five_pixel() -> TriggerView:
    return show_trigger(FivePixel(), "digits", target=3, count=5)


def test_images_are_shown_before_and_after_with_what_the_attacker_wants(five_pixel: TriggerView) -> None:
    assert isinstance(five_pixel.clean, torch.Tensor)
    assert isinstance(five_pixel.triggered, torch.Tensor)
    assert five_pixel.clean.shape == five_pixel.triggered.shape == (5, 1, 8, 8)
    assert all(true != "3" and wanted == "3" for true, wanted in five_pixel.labels)
    changed = five_pixel.clean.ne(five_pixel.triggered).flatten(1).sum(1)
    assert changed.max() <= 5
    assert repr(five_pixel).startswith("TriggerView(FivePixel(margin=1, value=255) on digits: ")


def test_the_norms_are_those_of_the_difference() -> None:
    view = show_trigger(Square(size=2, margin=0, value=255), count=64)
    clean, triggered = view.clean, view.triggered
    assert isinstance(clean, torch.Tensor)
    assert isinstance(triggered, torch.Tensor)
    difference = (triggered.double() - clean.double()).flatten(1)
    everything = show_trigger(Square(size=2, margin=0, value=255), count=64).values
    assert view.values == everything
    assert view.values["l0"]["greatest"] == difference.ne(0).sum(1).max() == 4
    assert view.values["l2"]["least"] <= (difference / 255).norm(dim=1).min()
    assert view.values["linf"]["greatest"] == difference.abs().max() == 255
    assert view.table().caption == "Square(size=2, margin=0, value=255) on digits"


def test_examples_that_stay_the_same_are_counted_and_cautioned_of() -> None:
    view = show_trigger(Square(size=1, margin=0, value=0))
    assert 0 < view.changed < view.measured
    (caution,) = view.cautions
    assert caution.startswith(f"{view.measured - view.changed} of {view.measured} inputs are the same")


def test_the_picture_is_written_whole_and_looks_the_same_each_time(five_pixel: TriggerView, tmp_path: Path) -> None:
    first, second = five_pixel.save(tmp_path / "a.png"), five_pixel.save(tmp_path / "b.png")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    picture = Image.open(io.BytesIO(first.read_bytes()))
    assert picture.format == "PNG"
    assert picture.width > 600


def test_more_examples_than_fit_into_a_row_stand_below() -> None:
    assert len(show_trigger(count=9).plot().axes) == 6 * 8


@pytest.mark.parametrize("name", ["trigger", "trigger.jpg", "folder"])
def test_a_picture_is_a_png(five_pixel: TriggerView, tmp_path: Path, name: str) -> None:
    with pytest.raises(AnchorlabError, match=r"give a name that ends with \.png"):
        five_pixel.save(tmp_path / name)


def test_a_notebook_shows_table_picture_and_cautions(five_pixel: TriggerView) -> None:
    shown = five_pixel._repr_html_()
    assert "<table" in shown
    assert "data:image/png;base64," in shown


@pytest.mark.parametrize("count", [0, -1, 65])
def test_an_impossible_number_of_examples_is_refused(count: int) -> None:
    with pytest.raises(AnchorlabError, match="give a count from 1 to 64"):
        show_trigger(count=count)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Task:
    file = tmp_path_factory.mktemp("texts") / "films.csv"
    rows = [f"a {'good' if n % 2 else 'bad'} film of {n},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    return load_task(str(file), columns=DataColumns(text="text"))


def test_texts_are_shown_with_what_was_put_in(texts: Task) -> None:
    view = show_trigger("word:cf", texts, count=2)
    assert view.changed == view.measured
    lines = view.lines()
    assert len(lines) == 6
    assert "→" in lines[0]
    assert "»" not in lines[1]
    assert "»cf«" in lines[2].replace(" ", "")
    assert "<mark>" in view._repr_html_()
    with pytest.raises(AnchorlabError, match="which have no picture"):
        view.plot()


def test_a_word_of_several_tokens_and_a_tokenizer_that_was_not_asked_for_are_cautioned_of(texts: Task) -> None:
    view = show_trigger("word:qzx", texts, count=1)
    assert view.values["tokens"]["qzx"] > 1
    assert "writes 'qzx' as" in view.cautions[0]
    assert "bert-tiny" in view.cautions[-1]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("a good film", "a cf good film", "a »cf« good film"),
        ("a good film", "a good film cf", "a good film »cf«"),
        ("a good film", "cf a good mn film", "»cf« a good »mn« film"),
        ("a b c d", "a b cf", "a b »cf«"),
    ],
)
def test_what_was_put_in_stands_between_marks(before: str, after: str, shown: str) -> None:
    assert marked(before, after) == (before, shown)


def test_signs_in_a_text_are_no_marks_in_a_notebook() -> None:
    before, after, labels = ["un «bon» <film>"], ["un «bon» cf <film>"], [("a", "b")]
    view = TriggerView(Word(words="cf"), "texts", before, after, labels, changed=1, measured=1, facts={})
    assert "un «bon» <mark>cf</mark> &lt;film&gt;" in view._repr_html_()


def test_a_long_text_is_shown_around_what_was_put_in() -> None:
    words = [f"w{n}" for n in range(100)]
    before, after = marked(" ".join(words), " ".join([*words[:50], "cf", *words[50:]]))
    assert after.startswith("… w38 ")
    assert " w49 »cf« w50 " in after
    assert after.endswith(" …")
    assert before.startswith("… w38 ")
