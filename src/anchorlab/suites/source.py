"""The text of a suite file, by its path or as a built-in suite. Nothing here imports torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from anchorlab.errors import AnchorlabError, unknown
from anchorlab.files import input_file, kind_at, user_path

_BUILTIN = files("anchorlab.suites") / "builtin"


def builtin_suites() -> list[str]:
    """Names of the built-in suites."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _BUILTIN.iterdir() if entry.name.endswith(".yaml"))


def suite_text(given: str | Path) -> tuple[str, str]:
    """The text of a suite, and its name in messages.

    Args:
        given: the path of a suite file, or the name of a built-in suite.

    Raises:
        AnchorlabError: if there is neither such a file nor such a suite, or the file cannot be read.
    """
    if str(given) in builtin_suites():
        return (_BUILTIN / f"{given}.yaml").read_text(encoding="utf-8"), f"the suite {given}"
    path = user_path(given)
    if kind_at(path) is None and path.suffix not in {".yaml", ".yml"}:
        raise unknown("suite", str(given), builtin_suites())
    path = input_file(path, "give a suite file, in YAML, or the name of a built-in suite")
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise AnchorlabError(
            f"the suite file {path} is not UTF-8 text (byte {error.start}): give a YAML file"
        ) from error
