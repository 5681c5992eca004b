"""What was read, in one line a part: the files, the classes, the pixels, the tokens, what was changed."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from anchorlab.data import DataColumns, load_task
from anchorlab.data.description import describe_gaps, describe_parts
from anchorlab.data.reading import PartReading
from anchorlab.data.split import RawData, Split
from tests.data.copies import STARS, frame, written
from tests.tokenizers import encoding


def images(count: int = 6, channels: int = 3) -> Split:
    pixels = torch.arange(count * channels * 8).remainder(100).add(7).to(torch.uint8)
    return Split({"pixel_values": pixels.view(count, channels, 2, 4)}, torch.arange(count) % 2)


def lines(raw: RawData) -> list[str]:
    return [str(part) for part in describe_parts(raw, None)]


def test_a_part_of_images_in_one_line():
    readings = (PartReading("train", ("a.png", "b.png")), PartReading("dev", ("c.png",)))
    assert lines(RawData(images(), images(2, 1), ("cat", "dog"), readings)) == [
        "train: 2 files (a.png, b.png); 6 images; 2 classes (cat 3, dog 3); 2×4 RGB, pixels from 7 to 106",
        "dev: 1 file (c.png); 2 images; 2 classes (cat 1, dog 1); 2×4 grey, pixels from 7 to 22",
    ]


def test_notes_and_only_three_files_are_shown():
    reading = PartReading("train", ("a", "b", "c", "d"), ("2 images were turned: as their EXIF data say",))
    (line,) = lines(RawData(images(), None, ("cat", "dog"), (reading,)))
    assert line.startswith("train: 4 files (a, b, c, …); 6 images; ")
    assert line.endswith("; 2 images were turned: as their EXIF data say")


def test_many_classes_are_shown_by_their_smallest_and_largest():
    sizes = torch.tensor([9, 3, 5, 5, 5, 5, 5, 5])
    labels = torch.repeat_interleave(torch.arange(8), sizes)
    split = Split({}, labels, tuple("text" for _ in labels))
    (line,) = lines(RawData(split, None, tuple("abcdefgh")))
    assert line == "train: 42 texts; 8 classes of 3 (b) to 9 (a)"
    even = Split({}, torch.arange(14) % 7, ("text",) * 14)
    assert lines(RawData(even, None, tuple("abcdefg"))) == ["train: 14 texts; 7 classes of 2 each (a, b, c and 4 more)"]


def test_classes_that_a_part_lacks_are_named():
    split = Split({}, torch.tensor([0, 0]), ("one", "two"))
    (line,) = lines(RawData(split, None, tuple("abcdef")))
    assert line == "train: 2 texts; 1 class (a 2), none of b, c, d and 2 more"


def test_examples_of_the_test_part_that_are_in_the_training_part_are_counted():
    train, readings = images(6), (PartReading("train"), PartReading("test"))
    pixels = train.inputs["pixel_values"][[1, 4, 1]]
    pixels[1] += 1
    (_, line) = lines(RawData(train, Split({"pixel_values": pixels}, train.labels[:3]), ("cat", "dog"), readings))
    assert line.endswith("; 2 images are in the training part too")
    texts = [Split({}, torch.tensor([0, 1]), words) for words in (("one", "two"), ("two", "One"))]
    assert lines(RawData(*texts, ("a", "b"), readings))[1].endswith("; 1 text is in the training part too")


def test_examples_that_the_training_part_holds_more_than_once_are_counted():
    """Its splits are cut by row, so that an example and its repetition may lie in two of them."""
    pixels = images(6).inputs["pixel_values"][[0, 1, 1, 2, 2, 2]]
    reading = (PartReading("train"),)
    (line,) = lines(RawData(Split({"pixel_values": pixels}, torch.arange(6) % 2), None, ("cat", "dog"), reading))
    assert line.endswith("; 2 images stand in it more than once")
    texts = [Split({}, torch.tensor([0, 1]), words) for words in (("one", "one"), ("two", "two"))]
    train, test = lines(RawData(*texts, ("a", "b"), (*reading, PartReading("test"))))
    assert train.endswith("; 1 text stands in it more than once")
    assert "more than once" not in test


def test_names_cannot_steer_a_terminal_or_fill_it():
    reading = PartReading("train", ("\x1b[2J.csv",), ("row 1 of \x1b]0;title was read",))
    (line,) = lines(RawData(images(), None, ("cat\n", "d" * 500), (reading,)))
    assert "\\x1b[2J.csv" in line
    assert "cat\\n 3" in line
    assert line.isprintable()
    assert len(line) < 400


def test_tokens_are_counted_before_texts_are_cut():
    """With the special tokens, the texts have 3, 4 and 8 tokens, of which 5 are kept."""
    made = encoding("wordpiece", 5)
    texts = ("plot", "the plot", "the plot the plot the plot")
    raw = RawData(Split({}, torch.tensor([0, 1, 0]), texts), None, ("a", "b")).encoded(made)
    (part,) = describe_parts(raw, made)
    assert (part.tokens.median, part.tokens.longest, part.tokens.limit, part.tokens.cut) == (4, 8, 5, 1)
    assert str(part).endswith("tokens: median 4, longest 8, 1 cut at 5")


def test_splits_that_lack_classes_are_named():
    gaps = {"selection": ("a", "b"), "test": tuple("abcde")}
    assert describe_gaps(gaps, 6) == (
        "splits without some classes: 'selection' has none of 2 of 6 (a, b); 'test' has none of 5 of 6 (a, b, c and "
        "2 more)"
    )


def test_a_task_says_what_was_read_of_a_file(tmp_path):
    task = load_task(str(written(tmp_path / "reviews.csv", frame())), columns=STARS)
    first, second = task.describe()
    assert first == "train: 1 file (reviews.csv); 79 texts; 3 classes (1 27, 2 26, 3 26)"
    assert second.startswith("test: 21 texts; 3 classes (1 7, 2 7, 3 7); a fifth of each class of the part 'train'")
    assert task.gaps == {}


def test_a_task_says_which_classes_its_splits_lack(tmp_path):
    for label in range(8):
        (tmp_path / "data" / f"kind{label}").mkdir(parents=True)
        for number in range(8):
            pixels = np.full((4, 4), 20 * label + number, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / f"kind{label}" / f"{number}.png")
    task = load_task(str(tmp_path / "data"), columns=DataColumns(image="image"))
    assert {name: len(lacking) for name, lacking in task.gaps.items()} == {"selection": 6, "defender": 6}
    assert len(task.describe()) == 3
