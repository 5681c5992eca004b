"""The folder of a suite: what is done, what failed, who is at work. Every file is written whole or not at all.

suite.yaml, run.json            the suite as it was last run, and the command
references/NAME/                trained references
cells/IDENTITY.json, .parquet   results: written whole, when a cell is done; the table holds instances, or the
                                scores or triggers of a detector
failed/IDENTITY.json            cells that failed, with their errors
partial/                        checkpoints of running jobs
locks/                          held by the runner at work on a cell; the system frees them if it dies
models/                         injected models, if they are kept
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.errors import AnchorlabError, printable
from anchorlab.files import explained, write_atomically, write_folder_atomically, write_json
from anchorlab.suites.cells import Cell, Measured, ReferenceJob

Job = Cell | ReferenceJob

SUITE, RUN = "suite.yaml", "run.json"


class Store:
    """The results of a suite's folder; several runners may have one open on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: dict[str, dict[str, Any]] = {}
        self._references: dict[str, dict[str, Any]] = {}

    def begin(self, text: str, run: dict[str, Any]) -> None:
        """Writes the suite that is run here, and the record of the run.

        Raises:
            AnchorlabError: if the folder holds something other than a suite.
        """
        if _holds_other_files(self.folder):
            raise AnchorlabError(
                f"{self.folder} already exists and does not hold a suite: choose another --out, or remove it first"
            )
        write_atomically(self.folder / SUITE, text)
        write_json(self.folder / RUN, run)

    def suite(self) -> str:
        """The text of the suite that was last run here.

        Raises:
            AnchorlabError: if the folder does not hold a suite.
        """
        path = self.folder / SUITE
        if not path.is_file():
            raise AnchorlabError(f"{self.folder} holds no {SUITE}: give a folder that 'anchorlab suite run' filled")
        return path.read_text(encoding="utf-8")

    def run(self) -> dict[str, Any]:
        """What ``begin`` wrote about the last run."""
        path = self.folder / RUN
        record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return record

    # What is done.

    def reference(self, job: ReferenceJob) -> Path:
        """The folder of a reference, whether it is there or not."""
        return self.folder / "references" / job.name

    def manifest(self, job: ReferenceJob) -> dict[str, Any] | None:
        """The manifest of a reference; None if it is not trained yet."""
        if job.name not in self._references:
            path = self.reference(job) / MANIFEST
            if not path.exists():
                return None
            self._references[job.name] = json.loads(path.read_text())
        return self._references[job.name]

    def result(self, cell: Cell) -> list[dict[str, Any]] | None:
        """The records of a cell, one a scale; None if it is not done yet."""
        if cell.identity not in self._results:
            path = self._result(cell)
            if not path.exists():
                return None
            self._results[cell.identity] = json.loads(path.read_text())
        rows: list[dict[str, Any]] = self._results[cell.identity]["rows"]
        return rows

    def versions(self, cell: Cell) -> dict[str, str]:
        """The versions of the libraries that a finished cell ran with."""
        self.result(cell)
        versions: dict[str, str] = self._results[cell.identity]["versions"]
        return versions

    def instances(self, identity: str) -> Path:
        """The table of a cell: its instances, or the scores or triggers of a detector."""
        return self.folder / "cells" / f"{identity}.parquet"

    def done(self, job: Job) -> bool:
        """Whether the result of a job is there."""
        return (self.manifest(job) if isinstance(job, ReferenceJob) else self.result(job)) is not None

    def save(self, cell: Cell, measured: Measured) -> None:
        """Writes the result of a cell; its JSON comes last, and with it the cell is done."""
        if measured.model is not None:
            self._save_folder(self.folder / "models" / f"{_for_a_folder(cell.label)}-{cell.identity}", measured.model)
        if measured.instances is not None:
            write_atomically(self.instances(cell.identity), measured.instances)
        record = {"cell": cell.model_dump(mode="json"), "rows": measured.rows, "versions": measured.versions}
        write_json(self._result(cell), record)
        self._results.pop(cell.identity, None)
        self._forget(cell)

    def models(self) -> dict[str, Path]:
        """The folders of the injected models that are kept, by the identities of their runs."""
        folders = (self.folder / "models").glob("*/")
        return {path.name.rpartition("-")[2]: path for path in folders if not path.name.startswith(".")}

    def save_reference(self, job: ReferenceJob, files: Mapping[str, bytes]) -> None:
        """Writes the folder of a reference, whole or not at all."""
        self._save_folder(self.reference(job), files)
        self._forget(job)

    # What failed.

    def fail(self, job: Job, stage: str, error: BaseException) -> None:
        """Notes that a job failed."""
        message = str(error) if isinstance(error, AnchorlabError) else f"{type(error).__name__}: {error}"
        record = {"what": job.name, "stage": stage, "error": " ".join(message.split()), "identity": job.identity}
        write_json(self.folder / "failed" / f"{job.identity}.json", record)

    def failed(self, job: Job) -> bool:
        """Whether a job failed."""
        return (self.folder / "failed" / f"{job.identity}.json").exists()

    def failures(self) -> list[dict[str, str]]:
        """The records of all jobs that failed."""
        folder = self.folder / "failed"
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))] if folder.exists() else []

    def forget_failures(self) -> None:
        """Removes the records of failures, so that those jobs run again."""
        for path in (self.folder / "failed").glob("*.json"):
            path.unlink(missing_ok=True)

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
        return self.folder / "partial" / f"{job.identity}.safetensors"

    def _forget(self, job: Job) -> None:
        self.checkpoint(job).unlink(missing_ok=True)
        (self.folder / "failed" / f"{job.identity}.json").unlink(missing_ok=True)

    def _result(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.identity}.json"

    def _save_folder(self, folder: Path, files: Mapping[str, bytes]) -> None:
        if folder.exists():
            return

        def write(temporary: Path) -> None:
            for name, content in files.items():
                write_atomically(temporary / name, content)

        write_folder_atomically(folder, write)


def _holds_other_files(folder: Path) -> bool:
    if not folder.exists() or (folder / SUITE).exists():
        return False
    # What a killed process was just writing is called .NAME.tmp.
    return not folder.is_dir() or any(path.suffix != ".tmp" for path in folder.iterdir())


def _for_a_folder(label: str) -> str:
    """A label as the beginning of a folder's name: no hidden one, and at most 100 bytes, because names are bounded."""
    words = re.sub(r"^\.|[\s/\\]", "-", printable(label))
    return words.encode()[:100].decode(errors="ignore")
