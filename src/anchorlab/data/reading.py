"""What was read of a data set: from which files each part came, and what was changed on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PartReading:
    """How one part of a data set was read; what can be seen in its examples is derived from them.

    Attributes:
        part: the name of the part where the data lie, such as ``train`` or ``validation``.
        files: the names of the files that were read, relative to the folder that was given; empty for data of the hub
            and for a part that was cut from another one.
        notes: sentences about what was changed, such as "12 images had transparency: laid over white".
    """

    part: str
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
