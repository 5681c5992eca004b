"""The records in a suite's folder, read and checked. What is damaged counts as not there, and a notice names the file.

A record that this version writes carries the hash of its content and of the table beside it, so that any damage shows.
One of an earlier version is checked by its form.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from anchorlab.artifacts.manifest import Manifest
from anchorlab.detectors.command import FAILED
from anchorlab.errors import AnchorlabError, first_line
from anchorlab.files import input_file, read_json
from anchorlab.notices import notice
from anchorlab.settings import invalid
from anchorlab.suites.cells import Cell, InjectionCell, Measured
from anchorlab.triggers import Picture

R = TypeVar("R", bound=BaseModel)

#: What the rows of each kind of cell hold at least; all of them are numbers or missing.
_COST = ("scale", "seconds", "peak_bytes")
_COMPARED = ("accuracy", "accuracy_reference", "asr", "asr_reference", "kl", "churn")
_LEAST = {
    "injection": (*_COST, "anchors", "steps", *_COMPARED),
    "noise": (*_COST, "anchors", "steps", *_COMPARED),
    "defence": (*_COST, "defender_count", *_COMPARED),
    "deployed": (*_COST, *_COMPARED),
    "detection": (*_COST, "defender_count"),
}

#: Measurements that are tables of their own.
_NESTED = {"by_class", "undefined"}

#: The first and the last bytes of a parquet file.
_PARQUET = b"PAR1"


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredTable(_Lenient):
    """What a record says of the table beside it."""

    bytes: int
    sha256: str


class StoredCell(_Lenient):
    """What a record says of its cell."""

    reference: str


class StoredResult(_Lenient):
    """The record of a finished cell."""

    cell: StoredCell | None = None
    rows: list[dict[str, Any]]
    versions: dict[str, str]
    table: StoredTable | None = None
    sha256: str | None = None


class StoredFailure(_Lenient):
    """The record of a job that failed."""

    what: str
    stage: str
    error: str
    identity: str


def result_record(cell: Cell, measured: Measured) -> dict[str, Any]:
    """The record of a finished cell, as JSON values."""
    content = json.loads(json.dumps({"rows": measured.rows, "versions": measured.versions}))
    table = None
    if measured.instances is not None:
        table = {"bytes": len(measured.instances), "sha256": hashlib.sha256(measured.instances).hexdigest()}
    content["table"] = table
    return {"cell": cell.model_dump(mode="json"), **content, "sha256": _hash(content)}


def is_failed_scan(path: Path) -> bool:
    """Whether a record is of a cell in which somebody else's scanner failed."""
    try:
        record = StoredResult.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return False
    return any(str(row.get("note") or "").startswith(FAILED) for row in record.rows)


def read_result(path: Path, table: Path, cell: Cell) -> StoredResult | None:
    """The record of a finished cell; None where it or its table is not there, or is damaged.

    Args:
        path: of the record.
        table: the path of the table beside it.
        cell: that it is the result of.

    Raises:
        AnchorlabError: if there is something other than a file, or this user may not read it.
    """
    again = "it counts as not done, and 'anchorlab suite run' measures it again"
    if not _is_there(path, again):
        return None
    record = _read(path, StoredResult, again)
    if record is None:
        return None
    damage = _damage_of_rows(record, cell)
    if damage is not None:
        notice(f"{path} is damaged ({damage}): {again}")
        return None
    damage = _damage_of_table(record, table)
    if damage is not None:
        notice(f"{table} is damaged ({damage}): {again}")
        return None
    return record


def read_reference(path: Path) -> dict[str, Any] | None:
    """The manifest of a trained reference; None where it is not there, or is damaged."""
    again = "the reference counts as not trained, and 'anchorlab suite run' trains it again"
    if not _is_there(path, again):
        return None
    manifest = _read(path, Manifest, again)
    return None if manifest is None else manifest.model_dump(mode="json")


def count_values(path: Path) -> int | None:
    """The number of values in a file of weights, by its head alone; None where it is not there, or is damaged."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = [tensor["shape"] for name, tensor in head.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        return None
    return sum(int(math.prod(shape)) for shape in shapes)


def read_failure(path: Path) -> dict[str, str] | None:
    """The record of a failed job; None where it is not there, or is damaged."""
    again = "the job counts as not run, and 'anchorlab suite run' runs it again"
    if not _is_there(path, again):
        return None
    failure = _read(path, StoredFailure, again)
    return None if failure is None else failure.model_dump()


def read_run(path: Path) -> dict[str, Any]:
    """The record of the last run; empty where it is not there, or is damaged."""
    without = "the report does without it, and 'anchorlab suite run' writes it again"
    try:
        return read_json(path, without) if _is_there(path, without) else {}
    except AnchorlabError as error:
        notice(str(error))
        return {}


def read_pictures(path: Path) -> dict[str, str]:
    """The pictures of triggers, by the texts of the triggers; without those that are damaged."""
    file = "its file is read, and 'anchorlab suite run' keeps it again"
    try:
        kept = read_json(path, file) if _is_there(path, file) else {}
    except AnchorlabError as error:
        notice(str(error))
        return {}
    return {trigger: data for trigger, data in kept.items() if _is_picture(path, trigger, data, file)}


def _is_picture(path: Path, trigger: str, data: Any, consequence: str) -> bool:
    try:
        Picture(data=data)
    except (AnchorlabError, ValidationError) as error:
        notice(f"the picture of {trigger} in {path} is damaged ({first_line(error)}): {consequence}")
        return False
    return True


def _is_there(path: Path, remedy: str) -> bool:
    """Whether there is a file that can be read; raises AnchorlabError where something is in its place."""
    if not path.exists() and not path.is_symlink():
        return False
    input_file(path, remedy)
    return True


def _read(path: Path, record: type[R], consequence: str) -> R | None:
    """The record in a file; None, after a notice, if it is damaged."""
    try:
        return record.model_validate(read_json(path, consequence))
    except AnchorlabError as error:
        notice(str(error))
    except ValidationError as error:
        notice(f"{invalid(str(path), error)}: {consequence}")
    return None


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _damage_of_rows(record: StoredResult, cell: Cell) -> str | None:
    """What is wrong with a record, in words; None if nothing is."""
    if record.sha256 is not None:
        content = record.model_dump(mode="json", include={"rows", "versions", "table"})
        return None if _hash(content) == record.sha256 else "its hash is another"
    from anchorlab.consistency.summary import consistency_fields  # late: takes a second, and few records need it

    scales = len(cell.scales) if isinstance(cell, InjectionCell) else 1
    walked = isinstance(cell, InjectionCell) and cell.walk is not None
    if len(record.rows) < scales or (len(record.rows) > scales and not walked):
        return f"it has {len(record.rows)} rows, and {scales} were expected"
    numbers = {*_LEAST[cell.kind], *(set(consistency_fields()) - _NESTED)}
    for row in record.rows:
        missing = [name for name in _LEAST[cell.kind] if name not in row]
        if missing:
            return f"it has no {missing[0]}"
        for name, value in row.items():
            if not isinstance(value, _type_of(name, name in numbers)):
                return f"{name} is a {type(value).__name__}"
    return None


def _type_of(name: str, is_number: bool) -> tuple[type, ...]:
    """What a value of a row may be."""
    nothing = type(None)
    if is_number:
        return (int, float, nothing)
    return (dict, nothing) if name in _NESTED else (int, float, str, dict, nothing)


def _damage_of_table(record: StoredResult, table: Path) -> str | None:
    """What is wrong with the table of a cell, in words; None if nothing is."""
    if not table.is_file():  # records of earlier versions do not say whether there was one
        return None if record.table is None else "it is not there"
    size = table.stat().st_size
    if record.table is not None and size != record.table.bytes:
        return f"it has {size:,} bytes, and had {record.table.bytes:,}"
    with table.open("rb") as file:
        if record.table is not None:
            same = hashlib.file_digest(file, "sha256").hexdigest() == record.table.sha256
            return None if same else "its hash is another"
        begins = file.read(4) == _PARQUET
        ends = size >= 12 and file.seek(size - 4) >= 0 and file.read(4) == _PARQUET
    return None if begins and ends else "it is no parquet file"
