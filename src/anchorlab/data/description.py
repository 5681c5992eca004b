"""What a data set holds, part by part, as a person wants to see it first: files, classes, pixels, tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.data.contents import examples_twice, repeated_examples
from anchorlab.data.derived import derived
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.reading import PartReading
from anchorlab.data.split import RawData, Split
from anchorlab.errors import printable, shortened, some
from anchorlab.settings import STRICT

#: Names of files, or of classes that are missing, that a line shows.
_SHOWN = 3
#: Classes that a line shows with their counts one by one.
_CLASSES = 6
#: Longest name in a line, in characters.
_NAME = 60


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImageFacts:
    """What all images of a part have in common."""

    height: int = Field(description="in pixels")
    width: int = Field(description="in pixels")
    mode: str = Field(description="grey or RGB")
    darkest: int = Field(description="the lowest value of any pixel, from 0 to 255")
    brightest: int = Field(description="the highest value of any pixel, from 0 to 255")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TokenFacts:
    """The lengths of a part's texts, in tokens of the model's tokenizer, special ones included."""

    median: float = Field(description="the median before texts are cut")
    longest: int = Field(description="the longest before texts are cut")
    limit: int = Field(description="most tokens that are kept")
    cut: int = Field(description="number of texts that are longer than that")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PartDescription:
    """What one part of a data set holds, and how it was read."""

    part: str = Field(description="its name where the data lie")
    files: int = Field(description="number of files that it was read from; 0 for the hub and for a part that was cut")
    names: tuple[str, ...] = Field(description="names of the first three files")
    examples: int = Field(description="number of examples")
    classes: dict[str, int] = Field(description="name of each class to its number of examples")
    image: ImageFacts | None = Field(default=None, description="of images")
    tokens: TokenFacts | None = Field(default=None, description="of texts, as the model reads them")
    notes: tuple[str, ...] = Field(default=(), description="what was changed or noticed on the way")

    def __str__(self) -> str:
        """One line, in which nothing that the user named can steer a terminal."""
        kind = f"{'text' if self.image is None else 'image'}{'s' * (self.examples != 1)}"
        facts = [self._files(), f"{self.examples:,} {kind}", self._classes(), self._image(), self._tokens()]
        return f"{_named(self.part)}: {'; '.join(fact for fact in [*facts, *map(printable, self.notes)] if fact)}"

    def _files(self) -> str:
        if self.files == 0:
            return ""
        more = ", …" if self.files > len(self.names) else ""
        return f"{self.files:,} file{'s' * (self.files > 1)} ({', '.join(map(_named, self.names))}{more})"

    def _classes(self) -> str:
        present = {name: count for name, count in self.classes.items() if count}
        if len(present) <= _CLASSES:
            words = ", ".join(f"{_named(name)} {count:,}" for name, count in present.items())
            counts = f"{len(present)} class{'es' * (len(present) != 1)} ({words})"
        else:
            least, most = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
            counts = f"{len(present)} classes of {present[least]:,} each ({some(list(present))})"
            if present[least] < present[most]:
                ends = f"{present[least]:,} ({_named(least)}) to {present[most]:,} ({_named(most)})"
                counts = f"{len(present)} classes of {ends}"
        lacking = [name for name, count in self.classes.items() if not count]
        return f"{counts}, none of {some(lacking)}" if lacking else counts

    def _image(self) -> str:
        if self.image is None:
            return ""
        one = self.image
        return f"{one.height}×{one.width} {one.mode}, pixels from {one.darkest} to {one.brightest}"

    def _tokens(self) -> str:
        if self.tokens is None:
            return ""
        one = self.tokens
        cut = f"{one.cut:,} cut at {one.limit:,}" if one.cut else f"none cut at {one.limit:,}"
        return f"tokens: median {one.median:g}, longest {one.longest:,}, {cut}"


def describe_parts(raw: RawData, encoding: TextEncoding | None) -> tuple[PartDescription, ...]:
    """What the training part and the test part hold.

    Args:
        raw: the data, with a test part or without.
        encoding: how texts became inputs; None for images, and for texts that have none yet.
    """
    parts = [part for part in (raw.train, raw.test) if part is not None]
    readings = raw.reading or (PartReading("train"), PartReading("test"))
    return tuple(
        PartDescription(
            part=reading.part,
            files=len(reading.files),
            names=reading.files[:_SHOWN],
            examples=len(part),
            classes=_counts(part, raw.classes),
            image=_image_facts(raw, part),
            tokens=_token_facts(part, encoding),
            notes=(*reading.notes, *_repeated(raw, part)),
        )
        for part, reading in zip(parts, readings, strict=False)
    )


def describe_gaps(gaps: dict[str, tuple[str, ...]], classes: int) -> str:
    """Which classes some splits lack, as one line.

    Args:
        gaps: split name to the names of the classes of which it has no example; at least one split.
        classes: number of all classes.
    """
    each = (f"'{split}' has none of {len(names)} of {classes} ({some(names)})" for split, names in gaps.items())
    return f"splits without some classes: {'; '.join(each)}"


def _counts(part: Split, classes: Sequence[str]) -> dict[str, int]:
    counts = torch.bincount(part.labels.cpu(), minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))


def _repeated(raw: RawData, part: Split) -> tuple[str, ...]:
    """A sentence on pixels or texts of a part that stand in the training part too, or in itself more than once."""
    if not raw.reading:
        return ()
    kind = "text" if raw.train.texts is not None else "image"
    if part is raw.test:
        count, one, several = repeated_examples(raw), "is in the training part too", "are in the training part too"
    else:
        count, one, several = examples_twice(raw), "stands in it more than once", "stand in it more than once"
    if count == 0:
        return ()
    return (f"1 {kind} {one}" if count == 1 else f"{count:,} {kind}s {several}",)


def _image_facts(raw: RawData, part: Split) -> ImageFacts | None:
    if "pixel_values" not in part.inputs or len(part) == 0:
        return None
    pixels = part.inputs["pixel_values"]

    def derive() -> list[int]:
        return [int(value) for value in pixels.aminmax()]

    which = ("range", "test" if part is raw.test else "train")
    darkest, brightest = derived(raw, which, derive, lambda value: type(value) is list)
    _, channels, height, width = pixels.shape
    mode = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return ImageFacts(height=height, width=width, mode=mode, darkest=darkest, brightest=brightest)


def _token_facts(part: Split, encoding: TextEncoding | None) -> TokenFacts | None:
    if part.tokens is None or encoding is None or len(part) == 0:
        return None
    tokens, limit = part.tokens.double(), encoding.max_length
    return TokenFacts(
        median=float(tokens.quantile(0.5)) if len(tokens) < 2**24 else float(tokens.median()),
        longest=int(tokens.max()),
        limit=limit,
        cut=int((tokens > limit).sum()),
    )


def _named(name: str) -> str:
    return shortened(printable(name), _NAME)
