"""The page of any folder that a command wrote: each kind of folder is known by one of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.errors import AnchorlabError
from anchorlab.files import kind_at
from anchorlab.reports.foreign import refuse_foreign_page


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that commands write.

    Attributes:
        file: the pattern of the file that tells it, within the folder.
        commands: the commands that write such folders, in words.
        write: writes the page of a folder, in a place or, for None, where it usually is; returns its path.
    """

    file: str
    commands: str
    write: Callable[[Path, Path | None], Path]


def write_folder_page(folder: Path, out: Path | None = None) -> Path:
    """Writes the page of a folder that a command wrote.

    Args:
        folder: a suite's, an analysis's, an audit's, a model's, or one that detect or compare wrote; or the file that
            compare wrote by --json.
        out: where to write; None for where the page of this kind of folder usually is.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if no command wrote the folder, or it is damaged, or the page cannot be written, or would
            replace one in ``out`` that no command wrote.
    """
    if out is not None:
        refuse_foreign_page(out)
    if kind_at(folder) == "file":
        from anchorlab.reports.comparison import write_file_page

        return write_file_page(folder, out)
    if kind_at(folder) != "folder":
        raise AnchorlabError(f"there is no folder {folder}: give one that a command wrote")
    for kind in KINDS:
        if any(folder.glob(kind.file)):
            return kind.write(folder, out)
    raise AnchorlabError(_refusal(folder))


def _refusal(folder: Path) -> str:
    """Why a folder has no page, and which commands write folders that have one."""
    if (folder / "config.json").is_file():
        return (
            f"{folder} is a model folder without {MANIFEST}, which says how the model was made: give it one by "
            "'anchorlab adopt'"
        )
    if any(folder.glob("settings.json")) and folder.name.endswith(".partial"):
        return f"{folder} is what an interrupted command left: repeat the command to finish it"
    known = "; ".join(dict.fromkeys(f"{kind.file.rpartition('/')[2]} by {kind.commands}" for kind in KINDS))
    return f"{folder} holds nothing that a command of anchorlab wrote: give a folder with one of these files: {known}"


def _suite(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.suite.written import write_suite_report
    from anchorlab.suites.results import load_results

    return write_suite_report(load_results(folder), folder, out)


def _analysis(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.analysis.page import write_analysis
    from anchorlab.reports.analysis.stored import read_analysis

    return write_analysis(read_analysis(folder), folder if out is None else out)


def _audit(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.audit.page import write_audit_page
    from anchorlab.reports.audit.stored import read_audit

    return write_audit_page(read_audit(folder), folder if out is None else out)


def _token_audit(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.token_audit import read_token_audit, write_token_audit_page

    return write_token_audit_page(read_token_audit(folder), folder if out is None else out)


def _detections(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.detections_page import write_detections_page

    return write_detections_page(folder, folder if out is None else out)


def _ranking(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.ranking import write_ranking_page

    return write_ranking_page(folder, folder if out is None else out)


def _comparison(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.comparison import write_folder

    return write_folder(folder, folder if out is None else out)


def _samples(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.samples import write_samples_folder

    return write_samples_folder(folder, folder if out is None else out)


def _tokens(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.tokens.page import write_tokens_folder

    return write_tokens_folder(folder, folder if out is None else out)


def _model(folder: Path, out: Path | None) -> Path:
    from anchorlab.reports.model import write_model_page

    return write_model_page(folder, folder / "report" if out is None else out)


#: Every kind of folder, the most telling files first.
KINDS = (
    FolderKind("suite.yaml", "anchorlab suite run and population", _suite),
    FolderKind("audit.json", "anchorlab audit", _audit),
    FolderKind("token-audit.json", "anchorlab audit --texts", _token_audit),
    FolderKind("analysis.json", "anchorlab analyze --out", _analysis),
    FolderKind("inputs.json", "anchorlab detect --inputs --out", _ranking),
    FolderKind("comparison.json", "anchorlab compare --out", _comparison),
    FolderKind("samples.json", "anchorlab compare --samples --out", _samples),
    FolderKind("tokens.json", "anchorlab compare --texts --out", _tokens),
    FolderKind(MANIFEST, "anchorlab train, adopt, inject and repair", _model),
    FolderKind("detection.json", "anchorlab detect --out", _detections),
    FolderKind("*/detection.json", "anchorlab detect --out", _detections),
)
