"""Writes the page of a folder that a command wrote."""

from __future__ import annotations

from pathlib import Path

from anchorlab.arguments import checked
from anchorlab.files import user_path
from anchorlab.reports.folders import write_folder_page


@checked
def write_report(folder: str | Path, *, out: str | Path | None = None) -> Path:
    """Writes the page of a folder that a command wrote; of a suite, with tables, figures and the results as CSV.

    Args:
        folder: of a suite, finished or not; of a model, an analysis, an audit, a comparison or a detection; or the
            file that ``compare --json`` wrote.
        out: where to write. If left out, the page of a suite or a model goes into ``report`` in the folder, and that
            of an analysis, an audit, a comparison or a detection into the folder itself, and that of a file into
            ``NAME-report`` beside it.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if no command wrote the folder, it holds nothing to show, or a file cannot be written.
    """
    return write_folder_page(user_path(folder), None if out is None else user_path(out))
