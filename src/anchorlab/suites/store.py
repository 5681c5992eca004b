"""The folder of a suite: what is done, what failed, who is at work. Every file is written whole or not at all.

suite.yaml, run.json            the suite as it was last run, and the command
pictures.json                   the pictures of its triggers, so that a report needs no file of them
references/NAME/                trained references
cells/IDENTITY.json, .parquet   results: written whole, when a cell is done; the table holds instances, or the
                                scores or triggers of a detector
failed/IDENTITY.json            cells that failed, with their errors
partial/                        checkpoints of running jobs; of a reference, the hash of its data beside it
locks/                          held by the runner at work on a cell; the system frees them if it dies
models/                         injected models, if they are kept
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from filelock import FileLock, Timeout

from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.data import TASKS
from anchorlab.errors import AnchorlabError, printable
from anchorlab.files import explained, input_file, sweep, write_atomically, write_folder_atomically, write_json
from anchorlab.suites.cells import Cell, Measured, ReferenceJob, examples_hash
from anchorlab.suites.stored import (
    StoredResult,
    count_values,
    is_failed_scan,
    read_failure,
    read_pictures,
    read_reference,
    read_result,
    read_run,
    result_record,
)
from anchorlab.training.checkpoint import damage_of

Job = Cell | ReferenceJob
C = TypeVar("C", bound=Cell)

SUITE, RUN, PICTURES = "suite.yaml", "run.json", "pictures.json"

#: What of it no folder has that a person put a suite file into.
_OF_A_RUN = (RUN, "cells", "references")

#: The file of a model's weights in its folder.
WEIGHTS = "model.safetensors"

#: Ends the file beside the checkpoint of a reference that says which data it is of.
DATA = ".data"

#: Folders in which a killed process may have been writing.
_PARTS = (
    *(".", "cells", "failed", "models", "partial", "references"),
    *("report", "report/figures", "report/tables"),
)


class Store:
    """The results of a suite's folder; several runners may have one open on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: dict[str, StoredResult] = {}
        self._references: dict[str, dict[str, Any]] = {}
        self._discarded: dict[Path, int] = {}
        self._alike: dict[tuple[str, str, str], bool] = {}

    def begin(self, text: str, run: dict[str, Any]) -> None:
        """Writes the suite that is run here, and the record of the run.

        Raises:
            AnchorlabError: if the folder holds something other than a suite, or a suite file that no run wrote.
        """
        if _holds_other_files(self.folder):
            raise AnchorlabError(
                f"{self.folder} already exists and does not hold a suite: choose another --out, or remove it first"
            )
        if self._has_somebodys_file() and not _says(self.folder / SUITE, text):  # it says so after a kill right here
            raise AnchorlabError(
                f"{self.folder / SUITE} is a file that no run wrote, and a run would overwrite it: choose another --out"
            )
        for part in _PARTS:
            sweep(self.folder / part)
        for path in (self.folder / "failed").glob("*.json"):
            if read_failure(path) is None:
                path.unlink(missing_ok=True)
        write_atomically(self.folder / SUITE, text)
        write_json(self.folder / RUN, run)

    def suite(self) -> str:
        """The text of the suite that was last run here.

        Raises:
            AnchorlabError: if the folder does not hold a suite that was run.
        """
        path = self.folder / SUITE
        if not self.folder.is_dir() or not (path.exists() or path.is_symlink()):
            raise AnchorlabError(f"{self.folder} holds no {SUITE}: give a folder that 'anchorlab suite run' filled")
        if self._has_somebodys_file():
            raise AnchorlabError(
                f"{path} was not run in {self.folder}: give a folder that 'anchorlab suite run' filled"
            )
        remedy = "run the suite again with --out, which writes it again"
        try:
            return input_file(path, remedy).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise AnchorlabError(f"{path} is damaged (byte {error.start} is not UTF-8): {remedy}") from error

    def _has_somebodys_file(self) -> bool:
        """Whether there is a suite file, but nothing else that a run writes."""
        return (self.folder / SUITE).exists() and not any((self.folder / name).exists() for name in _OF_A_RUN)

    def run(self) -> dict[str, Any]:
        """What ``begin`` wrote about the last run; empty if it is damaged."""
        return read_run(self.folder / RUN)

    def keep_pictures(self, pictures: Mapping[str, str]) -> None:
        """Keeps the pictures of triggers, base64 PNG by the texts of the triggers, in place of former ones."""
        if pictures:
            write_json(self.folder / PICTURES, dict(pictures))
        else:
            (self.folder / PICTURES).unlink(missing_ok=True)

    def pictures(self) -> dict[str, str]:
        """What ``keep_pictures`` wrote; without what is damaged."""
        return read_pictures(self.folder / PICTURES)

    # What is done. What is damaged counts as not done, after a notice that names the file.

    def reference(self, job: ReferenceJob) -> Path:
        """The folder of a reference, whether it is there or not."""
        return self.folder / "references" / job.name

    def manifest(self, job: ReferenceJob) -> dict[str, Any] | None:
        """The manifest of a reference; None if it is not trained yet."""
        if self._discarded and self._is_discarded(self.reference(job)):
            return None
        if job.name not in self._references:
            manifest = read_reference(self.reference(job) / MANIFEST)
            if manifest is None:
                return None
            self._references[job.name] = manifest
        return self._references[job.name]

    def parameters(self, job: ReferenceJob) -> int | None:
        """The number of values that a trained reference has; None if its file cannot be read."""
        return count_values(self.reference(job) / WEIGHTS)

    def result(self, cell: Cell) -> list[dict[str, Any]] | None:
        """The records of a cell, one a scale; None if it is not done yet."""
        record = self._record(cell)
        return None if record is None else record.rows

    def versions(self, cell: Cell) -> dict[str, str]:
        """The versions of the libraries that a finished cell ran with."""
        record = self._record(cell)
        return {} if record is None else record.versions

    def _record(self, cell: Cell) -> StoredResult | None:
        if cell.identity not in self._results:
            record = read_result(self._result(cell), self.instances(cell.identity), cell)
            if record is None:
                return None
            self._results[cell.identity] = record
        return self._results[cell.identity]

    def kept(self, cell: C) -> C:
        """The cell, or the same one without the hash of its examples, which an earlier version finished or failed.

        That one counts if it was measured on the same examples, as the reference tells that its record names.
        """
        if cell.examples_sha256 is None or self.done(cell):
            return cell
        former = cast("C", type(cell).model_validate(cell.model_dump(exclude={"examples_sha256"})))
        record = self._record(former) if self.done(former) else None
        if record is not None and record.cell is not None:
            return former if self._same_examples(record.cell.reference, cell) else cell
        failure = read_failure(self._failure(former.identity)) if self.failed(former) else None
        return former if failure is not None and cell.reference in failure["what"] else cell

    def _same_examples(self, reference: str, cell: Cell) -> bool:
        """Whether the runs of another reference with the same weights read the same examples as a cell."""
        if reference == cell.reference:
            return True
        key = (reference, cell.reference, cell.split)
        if key not in self._alike:
            references = self.folder / "references"
            other, own = (read_reference(references / name / MANIFEST) for name in (reference, cell.reference))
            if other is None or own is None:
                self._alike[key] = False
            elif other["task"]["contents"] is None:  # an older version, which recorded the indices alone
                self._alike[key] = other["task"]["splits"] == own["task"]["splits"]
            else:
                self._alike[key] = examples_hash(other, cell.split) == cell.examples_sha256
        return self._alike[key]

    def instances(self, identity: str) -> Path:
        """The table of a cell: its instances, or the scores or triggers of a detector."""
        return self.folder / "cells" / f"{identity}.parquet"

    def done(self, job: Job) -> bool:
        """Whether the result of a job is there."""
        return (self.manifest(job) if isinstance(job, ReferenceJob) else self.result(job)) is not None

    def save(self, cell: Cell, measured: Measured) -> None:
        """Writes the result of a cell; its JSON comes last, and with it the cell is done."""
        if measured.model is not None:
            folder = self.folder / "models" / f"{_for_a_folder(cell.label)}-{cell.identity}"
            self._save_folder(folder, measured.model, replace=self._is_discarded(folder))
        if measured.instances is not None:
            write_atomically(self.instances(cell.identity), measured.instances)
        write_json(self._result(cell), result_record(cell, measured))
        self._results.pop(cell.identity, None)
        self._forget(cell)

    def models(self) -> dict[str, Path]:
        """The folders of the injected models that are kept, by the identities of their runs."""
        folders = (self.folder / "models").glob("*/")
        return {
            path.name.rpartition("-")[2]: path
            for path in folders
            if not path.name.startswith(".") and not self._is_discarded(path)
        }

    def save_reference(self, job: ReferenceJob, files: Mapping[str, bytes]) -> None:
        """Writes the folder of a reference, whole or not at all."""
        self._save_folder(self.reference(job), files, replace=self.manifest(job) is None)
        self._references.pop(job.name, None)
        self._forget(job)

    def with_data_elsewhere(self, job: ReferenceJob) -> list[Path]:
        """The folders of references that differ from this one in nothing but the place of their data.

        Whether these were the same data is left to whoever reads them. Manifests name own data by their whole path, and
        a suite may have named them relative to the folder where it ran.
        """
        found = []
        for folder in sorted((self.folder / "references").glob("*/")):
            manifest = None if folder.name.startswith(".") else read_reference(folder / MANIFEST)
            if manifest is None or folder == self.reference(job) or self._is_discarded(folder):
                continue
            data = manifest["task"]["data"]
            spelled = [] if data is None else [data, os.path.relpath(data)]
            places: list[dict[str, str | None]] = [{"data": place} for place in (None, *spelled)]
            if job.task not in TASKS.names():  # the path of own data may be the name of their task
                places += [{"task": place, "data": None} for place in spelled]
            if any(ReferenceJob(**{**job.model_dump(), **place}).name == folder.name for place in places):
                found.append(folder)
        return found

    def discard(self, folder: Path) -> None:
        """From now on the folder of a reference or a model counts as missing, until another one replaces it."""
        self._discarded[folder] = folder.stat().st_ino if folder.exists() else 0
        self._references.pop(folder.name, None)

    def _is_discarded(self, folder: Path) -> bool:
        if folder not in self._discarded:
            return False
        if folder.exists() and folder.stat().st_ino != self._discarded[folder]:
            del self._discarded[folder]  # this runner or another has replaced it
            return False
        return True

    # What failed.

    def fail(self, job: Job, stage: str, error: BaseException) -> None:
        """Notes that a job failed."""
        text = " ".join(Exception.__str__(error).split()) if isinstance(error, Exception) else ""
        message = text if isinstance(error, AnchorlabError) else f"{type(error).__name__}: {text}"
        record = {"what": job.name, "stage": stage, "error": message, "identity": job.identity}
        write_json(self._failure(job.identity), record)

    def failed(self, job: Job) -> bool:
        """Whether a job failed."""
        return read_failure(self._failure(job.identity)) is not None

    def failures(self) -> list[dict[str, str]]:
        """The records of all jobs that failed."""
        records = (read_failure(path) for path in sorted((self.folder / "failed").glob("*.json")))
        return [record for record in records if record is not None]

    def forget_failures(self) -> None:
        """Removes the records of failures, so that those jobs run again, and their checkpoints that are damaged.

        So, too, the results of scanners that failed: these are kept as results, because failures are counted.
        """
        for path in (self.folder / "failed").glob("*.json"):
            checkpoint = self._checkpoint(path.stem)
            if damage_of(checkpoint) is not None:
                checkpoint.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        for path in (self.folder / "cells").glob("*.json"):
            if is_failed_scan(path):
                path.unlink(missing_ok=True)

    def _failure(self, identity: str) -> Path:
        return self.folder / "failed" / f"{identity}.json"

    # Who is at work.

    def claim(self, job: Job) -> FileLock | None:
        """Takes a job for this runner; None if another one is at work on it."""
        folder = self.folder / "locks"
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{job.identity}.lock", is_singleton=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return None
        return lock

    def release(self, job: Job, lock: FileLock) -> None:
        """Ends the claim on a job; its result must be written before."""
        # A runner that takes a lock looks for the result once more, so a lock on a removed file does no harm.
        (self.folder / "locks" / f"{job.identity}.lock").unlink(missing_ok=True)
        lock.release()

    def checkpoint(self, job: Job) -> Path:
        """The file that keeps the state of a job while it runs."""
        return self._checkpoint(job.identity)

    def _checkpoint(self, identity: str) -> Path:
        return self.folder / "partial" / f"{identity}.safetensors"

    def _forget(self, job: Job) -> None:
        self.checkpoint(job).unlink(missing_ok=True)
        self.checkpoint(job).with_suffix(DATA).unlink(missing_ok=True)
        self._failure(job.identity).unlink(missing_ok=True)

    def _result(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.identity}.json"

    def _save_folder(self, folder: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
        if folder.exists() and not replace:
            return

        def write(temporary: Path) -> None:
            for name, content in files.items():
                write_atomically(temporary / name, content)

        write_folder_atomically(folder, write, replace=replace)


def _holds_other_files(folder: Path) -> bool:
    if not folder.exists() or (folder / SUITE).exists():
        return False
    # What a killed process was just writing is called .NAME.tmp.
    return not folder.is_dir() or any(path.suffix != ".tmp" for path in folder.iterdir())


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _for_a_folder(label: str) -> str:
    """A label as the beginning of a folder's name: no hidden one, and at most 100 bytes, because names are bounded."""
    words = re.sub(r"^\.|[\s/\\]", "-", printable(label))
    return words.encode()[:100].decode(errors="ignore")
