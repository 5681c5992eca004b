"""What can be odd about an input: kinds of paths, numbers, texts, YAML, arrays and JSON, each by a short name."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Name to a path below the folder that ``make_odd_paths`` fills, or an absolute one.
PATHS: dict[str, str] = {
    "empty": "",
    "dot": ".",
    "root": "/",
    "above": "..",
    "space": " ",
    "dash": "-",
    "nobody": "~nobody-of-this-name/data",
    "url": "https://127.0.0.1:9/data",
    "file url": "file:///etc/passwd",
    "zero byte": "a\0b",
    "not utf-8": os.fsdecode(b"caf\xe9"),
    "escape": "a\x1b[31mb\nc",
    "long name": "x" * 300,
    "long path": "x/" * 3000,
    "nothing": "{odd}/nothing",
    "dangling": "{odd}/dangling",
    "loop": "{odd}/loop",
    "loop inside": "{odd}/loop/inside",
    "pipe": "{odd}/pipe",
    "device": "/dev/zero",
    "terminal": "/dev/stdin",
    "empty file": "{odd}/empty",
    "binary file": "{odd}/binary",
    "text file": "{odd}/text",
    "below a file": "{odd}/text/below",
    "empty folder": "{odd}/folder",
    "folder of a pipe": "{odd}/piped",
    "folder of a loop": "{odd}/looped",
    "empty csv": "{odd}/empty.csv",
    "binary csv": "{odd}/binary.csv",
    "folder named csv": "{odd}/folder.csv",
    "pipe named csv": "{odd}/pipe.csv",
    "binary npy": "{odd}/binary.npy",
    "pipe named npy": "{odd}/pipe.npy",
    "folder named npy": "{odd}/folder.npy",
    "binary yaml": "{odd}/binary.yaml",
    "pipe named yaml": "{odd}/pipe.yaml",
    "folder named yaml": "{odd}/folder.yaml",
    "pickle": "{odd}/model.pt",
}

#: The kinds of paths where nothing at all can be written.
UNWRITABLE = [
    *("empty", "nobody", "zero byte", "not utf-8", "long name", "long path", "loop", "loop inside"),
    *("pipe", "device", "terminal", "below a file"),
]
#: The kinds of paths where there is a folder.
FOLDERS = ["dot", "root", "above", "folder of a pipe"]


def make_odd_paths(odd: Path) -> None:
    """Fills a folder with what ``PATHS`` names."""
    noise = bytes(range(256)) * 4
    (odd / "dangling").symlink_to(odd / "nothing")
    (odd / "loop").symlink_to(odd / "loop")
    for folder in ("folder", "piped", "looped", "folder.csv", "folder.npy", "folder.yaml"):
        (odd / folder).mkdir()
    for pipe in ("pipe", "pipe.csv", "pipe.npy", "pipe.yaml", "piped/config.json", "piped/train.csv"):
        os.mkfifo(odd / pipe)
    (odd / "looped" / "train").symlink_to(odd / "looped")
    (odd / "looped" / "config.json").symlink_to(odd / "looped" / "config.json")
    for empty in ("empty", "empty.csv"):
        (odd / empty).write_bytes(b"")
    for binary in ("binary", "binary.csv", "binary.npy", "binary.yaml", "model.pt"):
        (odd / binary).write_bytes(noise)
    (odd / "text").write_text("words\n")


NUMBERS: dict[str, str] = {
    "empty": "",
    "space": " ",
    "word": "many",
    "list": "1,2",
    "64 bits": str(2**63),
    "30 digits": "9" * 30,
    "5,000 digits": "9" * 5000,
    "far below": str(-(10**18)),
    "minus one": "-1",
    "minus zero": "-0",
    "half": "0.5",
    "infinite": "inf",
    "minus infinite": "-Infinity",
    "nan": "nan",
    "overflow": "1e400",
    "underflow": "1e-400",
    "hexadecimal": "0x10",
    "other digits": "٣",
    "superscript": "²",
    "long": "x" * 100_000,
    "escape": "1\x1b[31m",
}

TEXTS: dict[str, str] = {
    "empty": "",
    "space": " ",
    "long": "x" * 100_000,
    "many parts": "a:" + ",".join(f"k{n}={n}" for n in range(10_000)),
    "escape": "a\x1b[31mb",
    "lines": "a\nb\r\nc",
    "right to left": "\u202eabc",
    "half a pair": "a\udcffb",
    "zero byte": "a\0b",
    "letters": "é漢😀",
    "shell": "$(touch x); `touch y` '\"",
    "above": "../../etc/passwd",
    "braces": "{0.__class__} {} %s %d",
    "colon": ":",
    "equals": "=",
    "commas": ",,,",
    "colon equals": "x:=",
    "word: nothing": "word:",
    "square: nothing": "square:size=",
    "twice": "square:size=2,size=3",
    "dash": "-",
    "none": "None",
    "number": "3.5",
    "quote": "'",
    "backslash": "\\",
}

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
_SUITE = "name: a\ntitle: A\ntasks: [digits]\nmethods: {plain: }\n"

#: Whole suite files.
YAML: dict[str, str | bytes] = {
    "empty": "",
    "null": "null",
    "list": "[1, 2]",
    "text": "suite",
    "binary": bytes(range(256)),
    "utf-16": _SUITE.encode("utf-16"),
    "zero byte": _SUITE + "\0",
    "tabs": "name:\ta\n\ttitle: b",
    "cut": _SUITE[:-4] + "{plain",
    "two documents": _SUITE + "---\n" + _SUITE,
    "object": "name: !!python/object/apply:os.system ['touch x']\n",
    "tag": _SUITE.replace("A", "!!binary aGk="),
    "unknown tag": _SUITE.replace("A", "!x A"),
    "bomb": BOMB + _SUITE,
    "recursion": _SUITE + "seeds: &a [*a]\n",
    "recursive mapping": _SUITE + "tuning: &a {steps: *a}\n",
    "merge": _SUITE + "tuning: &a {<<: *a}\n",
    "5,000 digits": _SUITE + "seeds: " + "9" * 5000,
    "brackets": _SUITE + "seeds: " + "[" * 10_000,
    "braces": _SUITE + "tuning: " + "{a: " * 10_000,
    "long": _SUITE.replace("title: A", "title: " + "x" * 1_000_000),
    "many keys": _SUITE + "".join(f"key{n}: {n}\n" for n in range(10_000)),
    "many seeds": _SUITE + f"seeds: {list(range(60_000))}",
    "twice": _SUITE + "name: b\n",
    "number as key": _SUITE + "1: a\n",
    "null as key": _SUITE + "null: a\n",
    "list as key": _SUITE + "? [a]\n: b\n",
    "number as method": _SUITE.replace("plain: ", "1: "),
}

#: Keys of a suite, each of which takes every one of ``VALUES``.
KEYS = [
    *("name", "title", "tasks", "references", "triggers", "methods", "anchors", "anchors_from", "seeds", "target_asr"),
    *("tuning", "scales", "selection", "controls", "repairs", "defender", "detectors", "keep_models", "resources"),
]
VALUES = [
    *("null", "2026-01-31", "true", "-1", "1.5", ".inf", ".nan", "1.0e+400", "9" * 30, "10000000000", "''", "[]", "{}"),
    *("[null]", "{a: b}", "[{a: b}]", "[[1]]", "{'': }", "'" + "x" * 50_000 + "'"),
    '"\\e[31m\\0"',
]


def suite_with(key: str, value: str) -> str:
    """A suite in which one key has this value."""
    lines = [line for line in _SUITE.splitlines() if not line.startswith(f"{key}:")]
    return "\n".join([*lines, f"{key}: {value}", ""])


def _npy(header: str, version: tuple[int, int] = (1, 0), data: bytes = b"\0" * 800) -> bytes:
    text = header.encode("latin1")
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text + data


def _saved(array: object, save: Callable[..., None] = np.save) -> bytes:
    buffer = io.BytesIO()
    save(buffer, array)
    return buffer.getvalue()


def _described(descr: str = "'<f4'", order: str = "False", shape: str = "(10, 2)") -> bytes:
    return _npy(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")


#: Whole .npy files.
NPY: dict[str, bytes] = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "noise": bytes(range(256)),
    "version 9": _npy("{}", version=(9, 9)),
    "version 2": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 2), }", version=(2, 0)),
    "no dictionary": _npy("[1, 2]"),
    "no python": _npy("{'descr': "),
    "code": _npy("__import__('os').system('touch x')"),
    "further key": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 2), 'x': 1}"),
    "deep": _npy("(" * 5000),
    "huge": _described(shape="(1000000000000, 1000)"),
    "overflow": _described(shape="(99999999999999999999999, 10)"),
    "negative": _described(shape="(-10, 2)"),
    "minus one": _described(shape="(-1, 2)"),
    "text as shape": _described(shape="'ab'"),
    "float as shape": _described(shape="(2.5, 2)"),
    "true as shape": _described(shape="(True, 2)"),
    "zero rows": _described(shape="(0, 2)"),
    "zero columns": _described(shape="(10, 0)"),
    "scalar": _described(shape="()"),
    "cube": _described(shape="(5, 2, 2)"),
    "fortran": _described(order="True"),
    "text as order": _described(order="'x'"),
    "objects": _described(descr="'|O'"),
    "structured": _described(descr="[('a', '<f4'), ('b', '<i4')]"),
    "texts": _described(descr="'<U4'"),
    "dates": _described(descr="'<M8[s]'"),
    "complex": _described(descr="'<c8'"),
    "booleans": _described(descr="'|b1'"),
    "void": _described(descr="'|V4'"),
    "no dtype": _described(descr="'nonsense'"),
    "none as dtype": _described(descr="None"),
    "big endian": _saved(np.arange(20).reshape(10, 2).astype(">i8")),
    "cut": _saved(np.ones((10, 2)))[:-8],
    "cut header": _saved(np.ones((10, 2)))[:40],
    "longer": _saved(np.ones((10, 2))) + b"more",
    "nan": _saved(np.full((10, 2), np.nan)),
    "infinite": _saved(np.full((10, 2), np.inf)),
    "large": _saved(np.full((10, 2), 1.7e308)),
    "negative labels": _saved(np.full(10, -1)),
    "labels beyond": _saved(np.full(10, 2**62)),
    "unsigned labels": _saved(np.full(10, 2**64 - 1, dtype=np.uint64)),
    "float labels": _saved(np.zeros(10)),
    "archive": _saved(np.ones((10, 2)), np.savez),
    "cut archive": _saved(np.ones((10, 2)), np.savez)[:60],
    "pickle": b"cos\nsystem\n(S'touch x'\ntR.",
}

#: What a JSON file may hold instead of what it held.
JSON: dict[str, bytes] = {
    "empty": b"",
    "noise": bytes(range(256)),
    "null": b"null",
    "true": b"true",
    "number": b"3",
    "text": b'"text"',
    "list": b"[1, 2]",
    "object": b"{}",
    "other object": b'{"a": {"b": [1, null]}}',
    "nan": b"NaN",
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 100_000,
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "python": b"{'a': None}",
    "two": b"{}{}",
    "long": b'{"' + b"x" * 1_000_000 + b'": 1}',
}
