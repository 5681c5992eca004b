"""Folders of images: each folder is a class, whatever it and its files are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from anchorlab.data.folders import below, files_below, visible
from anchorlab.data.labels import in_order
from anchorlab.data.part_names import PARTS, begins_like_a_part, listed, parts_in
from anchorlab.errors import AnchorlabError

#: How the names of images end that can be read; any file that begins as these do is one, too.
_IMAGES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")

#: How the names of images end that cannot be read, and of archives, which may hold some.
_UNREAD = re.compile(
    r"\.(heic|heif|avif|svg|eps|ps|jp2|j2k|jxl|psd|xcf|ai|dng|cr2|nef|arw|raw|tga|ico|pcx|ppm|pgm|pbm|pnm|exr|hdr|dcm|"
    r"dicom|nii|npy|npz|mat)"
)
_ARCHIVE = re.compile(r"\.(zip|tar|gz|tgz|bz2|xz|zst|7z|rar)")

#: Files without an image in a folder, after which it is no folder of images, but a home or a disk.
_SEARCHED = 20_000


def is_image(path: Path) -> bool:
    """Whether a file is called like an image, or begins like one."""
    if path.suffix.lower() in _IMAGES:
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def holds_images(folder: Path, *, deep: bool = True) -> bool:
    """Whether there is any image in a folder, or, if ``deep``, in one below it.

    Raises:
        AnchorlabError: for a folder of very many files without an image among them.
    """
    for number, path in enumerate(files_below(folder) if deep else visible(folder)):
        if not path.is_dir() and is_image(path):
            return True
        _refuse_other_files(number, folder)
    return False


def image_parts(root: Path, folders: Sequence[Path]) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    """Part to its folder: the folders themselves where all have names of parts, otherwise all are classes of ``train``.

    The second thing returned is what was left aside, as sentences.

    Args:
        root: the folder that the user gave.
        folders: those in it that hold images.

    Raises:
        AnchorlabError: if nobody can know whether they are parts or classes, or two mean one part.
    """
    if not all(path.name in PARTS for path in folders):
        _refuse_parts_among(root, folders)
        return {"train": (root,)}, ()
    others: list[Path] = []
    for path in visible(root):
        if path in folders:
            continue
        if path.is_file():
            _refuse_loose(path, root, others)
        elif path.name in PARTS and visible(path):
            raise AnchorlabError(
                f"{path} has the name of a part and holds no image (PNG, JPEG, BMP, GIF, WebP, TIFF), but "
                f"{folders[0].name} beside it does: add some, or move it"
            )
    parts: dict[str, tuple[Path, ...]] = {}
    for path in folders:
        if PARTS[path.name] in parts:
            raise AnchorlabError(
                f"{root} holds the folders '{parts[PARTS[path.name]][0].name}' and '{path.name}', which mean one part: "
                "leave one of them in it"
            )
        parts[PARTS[path.name]] = (path,)
    return {part: parts[part] for part in PARTS if part in parts}, _left_aside(others, root)


def _refuse_parts_among(root: Path, folders: Sequence[Path]) -> None:
    """Refuses folders such as Training/cat and Testing/cat, train/cat and extra/cat, or seg_train and seg_test."""
    alike = [path for path in folders if begins_like_a_part(path.name)]
    inside = {path: {sub.name for sub in visible(path) if sub.is_dir()} for path in folders} if alike else {}
    shared = next((one for one in alike for other in folders if one != other and inside[one] & inside[other]), None)
    worded = [path for path in folders if path.name not in PARTS and parts_in(path.name)]
    if shared is None and len(alike) < len(folders):
        if len({part for path in worded for part in parts_in(path.name)}) < 2:
            return
        shared = worded[0]
    raise AnchorlabError(
        f"{root} holds the folders {listed([path.name for path in folders[:8]])}, and nobody can know whether "
        f"'{(shared or alike[0]).name}' is a part of the data or a class: call the parts 'train', 'test' and "
        "'validation', with no other folders of images beside them"
    )


def read_class_folders(folder: Path, root: Path) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The images of one part, each with the name of the folder that stands for its class.

    Images in folders below a class belong to it.

    Args:
        folder: holds a folder for each class.
        root: the folder that the user gave.

    Returns:
        A ``datasets.Dataset`` with the columns ``image`` and ``label``, the name of each row's file from ``root``
        on, in order, and what was left aside, as sentences.

    Raises:
        AnchorlabError: naming an image that belongs to no class or cannot be read by its kind, or an empty class.
    """
    from datasets import ClassLabel, Dataset, Features, Image

    images: list[Path] = []
    classes: list[str] = []
    others: list[Path] = []
    for path in visible(folder):
        found = images_among(files_below(path), root, others) if path.is_dir() else _refuse_loose(path, root, others)
        if found:
            images += found
            classes.append(path.name)
        elif path.is_dir() and folder == root:
            raise AnchorlabError(
                f"{below(path, root)}/ of {root} holds no image (PNG, JPEG, BMP, GIF, WebP, TIFF), expected some in "
                "the folder of each class: add them, or remove the folder"
            )
    if folder == root and len(classes) < 2:
        raise AnchorlabError(
            f"{root} holds images in the one folder '{classes[0]}', expected a folder for each class: add the others, "
            f"or give {folder / classes[0]} if the classes are folders in it"
        )
    names = in_order(classes, f"{folder}")
    numbers = {name: number for number, name in enumerate(names)}
    files = sorted(below(path, root) for path in images)
    depth = len(folder.relative_to(root).parts)
    rows = Dataset.from_dict(
        {"image": [str(root / file) for file in files], "label": [numbers[file.split("/")[depth]] for file in files]},
        features=Features({"image": Image(), "label": ClassLabel(names=list(names))}),
    )
    return rows, tuple(files), (*_left_aside(others, root), *_deeper(files, depth))


def images_among(files: Iterable[Path], root: Path, others: list[Path]) -> list[Path]:
    """Those of some files that are images; what is none is added to ``others``.

    Args:
        files: the files.
        root: the folder that the user gave.
        others: what was left aside so far.

    Raises:
        AnchorlabError: naming an image that cannot be read by its kind, an archive, or a broken link; or for a folder
            of very many files that are no images.
    """
    images = []
    for path in files:
        if not is_image(path):
            _refuse_unread(path, root)
            others.append(path)
            _refuse_other_files(len(others), root)
        elif not path.is_file():
            raise AnchorlabError(f"the image {below(path, root)} of {root} is no file, or a broken link: remove it")
        else:
            images.append(path)
    return images


def _refuse_other_files(count: int, folder: Path) -> None:
    if count > _SEARCHED:
        raise AnchorlabError(
            f"the folder {folder} holds more than {_SEARCHED:,} files that are no images: give a folder of data alone"
        )


def _refuse_loose(path: Path, root: Path, others: list[Path]) -> Sequence[Path]:
    if is_image(path):
        raise AnchorlabError(
            f"the image {below(path, root)} of {root} stands beside the folders of the classes, in none of them: move "
            "it into one, or remove it"
        )
    _refuse_unread(path, root)
    others.append(path)
    return ()


def _refuse_unread(path: Path, root: Path) -> None:
    archive = _ARCHIVE.fullmatch(path.suffix.lower())
    if archive or _UNREAD.fullmatch(path.suffix.lower()):
        what, remedy = ("an archive", "unpack") if archive else ("an image of another kind", "convert")
        raise AnchorlabError(
            f"{below(path, root)} of {root} is {what}, expected PNG, JPEG, BMP, GIF, WebP or TIFF files alone: "
            f"{remedy} or remove it"
        )


def _deeper(files: Sequence[str], depth: int) -> tuple[str, ...]:
    """A sentence on the images in folders below a class, because those might be the classes."""
    folders = [file.split("/")[depth + 1] for file in files if file.count("/") > depth + 1]
    if not folders:
        return ()
    names = sorted(set(folders))
    shown = f"{listed(names[:3])}{', …' if len(names) > 3 else ''}"
    return (f"{len(folders):,} in folders below the classes ({shown}): of the class above",)


def _left_aside(others: Sequence[Path], root: Path) -> tuple[str, ...]:
    if not others:
        return ()
    names = listed([below(path, root) for path in others[:3]])
    what = "files that are no images were" if len(others) > 1 else "file that is no image was"
    return (f"{len(others):,} {what} not read: {names}{', …' if len(others) > 3 else ''}",)
