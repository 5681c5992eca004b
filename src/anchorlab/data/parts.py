"""Which file is which part: by its whole name, in one place and one form; what cannot be known is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from anchorlab.data.class_folders import holds_images, image_parts
from anchorlab.data.folders import below, files_below, visible
from anchorlab.data.part_names import PARTS, begins_like_a_part, listed
from anchorlab.data.tables import TABLES
from anchorlab.errors import AnchorlabError, shortened

#: Shards as the hub names them; older ones have a hash at the end.
_SHARD = re.compile(r"([a-z]+)-(\d+)-of-(\d+)(?:-[0-9a-f]{16})?")

#: Endings of what is code, prose, a picture or a model, whatever its name begins with.
_NO_DATA = re.compile(
    r"\.(py|ipynb|sh|bash|bat|ps1|r|jl|c|h|cpp|js|ts|java|go|rs|m|slurm|md|rst|html|pdf|log|yaml|yml|toml|cfg|ini|lock|"
    r"png|jpg|jpeg|gif|svg|bmp|webp|safetensors|bin|pt|pth|ckpt|onnx)"
)
_NO_DATA_NAMES = {"trainer_state.json", "training_args.json"}

_ALONE = "give the file alone, or leave one of them in the folder"


@dataclass(frozen=True)
class Layout:
    """How the data in a folder are stored.

    Attributes:
        form: rows in files, images in folders of their classes, or what ``save_to_disk`` wrote.
        parts: part to its files in order, or to the one folder that holds it.
        notes: what was left aside, as sentences.
    """

    form: Literal["tables", "images", "saved"]
    parts: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...] = ()


def find_layout(folder: Path) -> Layout | None:
    """How the data in a folder are stored, and which files are which part; None if there are none that can be read.

    A part is a file ``train.EXT``, shards ``train-00000-of-00003.EXT``, or a folder ``train``; so are ``test`` and
    ``validation`` (``valid``, ``val``, ``dev``). All stand in the folder itself, or all in one folder below. Hidden
    files and folders do not count.

    Raises:
        AnchorlabError: naming files of which nobody can know whether they are a part, or which of them is one.
    """
    if (folder / "dataset_dict.json").is_file():
        _refuse_beside_saved(folder)
        return Layout("saved", {"": (folder,)})
    places = [_Place.of(folder, folder)]
    others = [path for path in visible(folder) if path.is_dir() and path.name not in PARTS]
    places += [_Place.of(path, folder) for path in others if not holds_images(path, deep=False)]
    tables = [found for place in places for found in place.found]
    images = [path for path in visible(folder) if path.is_dir() and holds_images(path)]
    if tables:
        _refuse_doubtful([path for place in places for path in place.doubtful], folder)
        _refuse_two_forms(tables, [path for path in images if path.name in PARTS], folder)
        parts = _one_of_each(tables, folder)
        return Layout("tables", parts, _left_aside(places, parts, folder))
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return Layout("saved", {"train": (folder,)})
    _refuse_doubtful([path for path in places[0].doubtful if not path.is_dir()], folder)
    if images:
        return Layout("images", *image_parts(folder, images))
    _refuse_doubtful([path for place in places for path in place.doubtful if not path.is_dir()], folder)
    if holds_images(folder, deep=False):
        raise AnchorlabError(
            f"{folder} holds images in no folder of a class, expected a folder for each class: put them into such "
            "folders, or write images and labels as parquet"
        )
    return None


@dataclass(frozen=True)
class _Found:
    """One thing that is a part: a file, a set of shards, or a folder."""

    part: str
    place: Path
    paths: tuple[Path, ...]
    name: str


@dataclass
class _Place:
    """What stands in one folder: things that are parts, and things whose names begin like parts."""

    folder: Path
    found: list[_Found] = field(default_factory=list)
    doubtful: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, root: Path) -> _Place:
        place = cls(folder)
        shards: dict[tuple[str, int, str], list[tuple[int, Path]]] = {}
        for path in visible(folder):
            suffix = path.suffix.lower()
            shard = _SHARD.fullmatch(path.stem)
            is_table = suffix in TABLES and path.is_file()
            if is_table:
                place.tables.append(path)
            if path.is_dir():
                place._add_folder(path, folder == root)
            elif is_table and path.stem in PARTS:
                place.found.append(_Found(PARTS[path.stem], folder, (path,), below(path, root)))
            elif is_table and shard and shard[1] in PARTS:
                shards.setdefault((shard[1], int(shard[3]), suffix), []).append((int(shard[2]), path))
            elif begins_like_a_part(path.name) and _may_be_data(path, folder == root):
                place.doubtful.append(path)
        for (part, total, _), numbered in shards.items():
            place.found.append(_Found(PARTS[part], folder, _whole(numbered, total, root), below(numbered[0][1], root)))
        return place

    def _add_folder(self, path: Path, at_root: bool) -> None:
        """A folder with the name of a part, and rows in it; folders of images are looked at elsewhere."""
        if holds_images(path):
            return
        content = visible(path)
        deeper = [file for file in files_below(path) if file.parent != path and file.suffix.lower() in TABLES]
        if path.name in PARTS and deeper:
            raise AnchorlabError(
                f"{below(deeper[0], path.parent)} of {self.folder} lies in a folder of the part '{path.name}', "
                "expected its files in that folder itself: move them there"
            )
        tables = [file for file in content if file.suffix.lower() in TABLES and file.is_file()]
        saved = (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
        if path.name in PARTS and (tables or saved):
            paths = (path,) if saved else _only_format(path, tables)
            self.found.append(_Found(PARTS[path.name], self.folder, paths, f"{path.name}/"))
        elif content and at_root and (path.name in PARTS or (tables and begins_like_a_part(path.name))):
            self.doubtful.append(path)


def _may_be_data(path: Path, at_root: bool) -> bool:
    """Whether a file may hold rows; below the folder itself only what could be read counts."""
    if path.name in _NO_DATA_NAMES:
        return False
    suffix = path.suffix.lower()
    return _NO_DATA.fullmatch(suffix) is None if at_root else suffix in TABLES


def _whole(numbered: Sequence[tuple[int, Path]], total: int, root: Path) -> tuple[Path, ...]:
    """All shards of a part in their order."""
    ordered = sorted(numbered)
    numbers = [number for number, _ in ordered]
    names = listed([below(path, root) for _, path in ordered[:3]])
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        same = listed([below(path, root) for number, path in ordered if number == twice])
        raise AnchorlabError(f"{root} holds {same}, which are one shard twice: remove one of them")
    missing = sorted(set(range(min(total, 10**6))) - set(numbers))
    if missing or len(numbers) != total:
        shown = ", ".join(str(number) for number in missing[:8])
        raise AnchorlabError(
            f"{root} holds {len(numbers)} of {total} shards ({names}), and lacks number "
            f"{shown}{', …' if len(missing) > 8 else ''}, counted from 0: fetch what is missing, or write all into "
            "one file"
        )
    return tuple(path for _, path in ordered)


def _only_format(folder: Path, tables: Sequence[Path]) -> tuple[Path, ...]:
    """The files of a folder that is a part, all of which belong to it."""
    formats = {path.suffix.lower(): path for path in tables}
    if len(formats) > 1:
        raise AnchorlabError(
            f"{folder} holds files of {len(formats)} formats, such as "
            f"{listed([path.name for path in formats.values()])}: "
            "leave the files of one format in it"
        )
    doubtful = [path for path in tables if begins_like_a_part(path.name) and not _belongs(path, folder.name)]
    if doubtful:
        raise AnchorlabError(
            f"{folder} holds {listed([path.name for path in doubtful[:8]])}, and nobody can know whether that is part "
            f"of '{folder.name}': move it, or rename it"
        )
    numbered = [(shard, path) for path in tables if (shard := re.search(r"(\d+)-of-(\d+)", path.stem))]
    if numbered and len(numbered) == len(tables) and len({shard[2] for shard, _ in numbered}) == 1:
        return _whole([(int(shard[1]), path) for shard, path in numbered], int(numbered[0][0][2]), folder)
    return tuple(tables)


def _belongs(path: Path, part: str) -> bool:
    shard = _SHARD.fullmatch(path.stem)
    return PARTS.get(shard[1] if shard else path.stem) == PARTS[part]


def _one_of_each(found: Sequence[_Found], folder: Path) -> dict[str, tuple[Path, ...]]:
    """Part to its files, if each part is there once and all are in one place."""
    parts: dict[str, _Found] = {}
    for one in found:
        other = parts.setdefault(one.part, one)
        if other is not one:
            raise AnchorlabError(
                f"{folder} holds '{shortened(other.name)}' and '{shortened(one.name)}', and nobody can know which of "
                f"them is the part '{one.part}': {_ALONE}"
            )
    elsewhere = next((one for one in found if one.place != found[0].place), None)
    if elsewhere is not None:
        raise AnchorlabError(
            f"{folder} holds '{shortened(found[0].name)}' and, in another folder, '{shortened(elsewhere.name)}', "
            "expected all parts in one folder: move them together, or give the folder that is meant"
        )
    return {part: parts[part].paths for part in PARTS if part in parts}


def _refuse_doubtful(paths: Sequence[Path], folder: Path) -> None:
    if not paths:
        return
    more = f" and {len(paths) - 8:,} more" if len(paths) > 8 else ""
    begin = "which begin like parts" if len(paths) > 1 else "which begins like a part"
    raise AnchorlabError(
        f"{folder} holds {listed([below(path, folder) for path in paths[:8]])}{more}, {begin}, and nobody can know "
        "what is meant, expected files named exactly train, test or validation with an ending such as .csv: rename or "
        "move what is no part, or give one file alone"
    )


def _refuse_two_forms(tables: Sequence[_Found], images: Sequence[Path], folder: Path) -> None:
    if images:
        raise AnchorlabError(
            f"{folder} holds the file '{shortened(tables[0].name)}' and images in '{images[0].name}/', and nobody can "
            "know which of them are the data: move one of them"
        )


def _refuse_beside_saved(folder: Path) -> None:
    """What ``save_to_disk`` wrote stands alone."""
    place = _Place(folder)
    for path in visible(folder):
        if path.is_file() and begins_like_a_part(path.name) and _may_be_data(path, at_root=True):
            place.doubtful.append(path)
    if place.doubtful:
        raise AnchorlabError(
            f"{folder} holds what datasets' save_to_disk wrote and "
            f"{listed([path.name for path in place.doubtful[:8]])}, and "
            f"nobody can know which of them is meant: move one of them"
        )


def _left_aside(places: Sequence[_Place], parts: dict[str, tuple[Path, ...]], folder: Path) -> tuple[str, ...]:
    """A sentence on files of rows in the folder that are no part."""
    used = {path for paths in parts.values() for path in paths}
    others = [below(path, folder) for place in places for path in place.tables if path not in used]
    return (f"not read: {listed(others[:3])}{', …' if len(others) > 3 else ''}, no part by name",) if others else ()
