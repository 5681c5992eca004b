"""anchorlab injects benchmark backdoors into trained classifiers, and measures what that changes.

``dir(anchorlab)`` lists the stable public interface; everything else may move. Its verbs are the verbs of the command
line. Its packages ``methods``, ``triggers``, ``repairs``, ``detectors`` and ``metrics`` each hold a base class, the
members and the registry of one family.

A name is imported when it is first used, so that ``import anchorlab`` and ``anchorlab --help`` need not wait for torch.
The names stand once, in ``__init__.pyi``, where type checkers and editors look for them too.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and "anchorlab" in sys.orig_argv and not sys.flags.safe_path:
    # Called as python -m anchorlab, Python looks for modules in the current folder first, where the user's data may lie
    # with anything beside them. Nothing but this package may be taken from there.
    sys.path[:] = [folder for folder in sys.path[:1] if __path__[0][: -len("/anchorlab")] == folder] + sys.path[1:]

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

from anchorlab.errors import warn_renamed

__version__ = "0.2.0"

#: Former name to the name that replaces it. A former name works for one release.
_FORMER = {
    "Columns": "DataColumns",
    "Detail": "AnalysisSettings",
    "adapt": "wrap",
    "defend": "repair",
    "collect": "load_results",
}


def _read_stub() -> dict[str, tuple[str, str | None]]:
    """Public name to its module and its name there, or to a package and None, from the imports of the stub."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [(node.module, alias) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {
        alias.asname or alias.name: (f"{__name__}.{module}", alias.name)
        if module
        else (f"{__name__}.{alias.name}", None)
        for module, alias in imports
    }


_HOMES = _read_stub()
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _FORMER:
        former, name = name, _FORMER[name]
        warn_renamed(f"anchorlab.{former}", f"anchorlab.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'anchorlab' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    home = import_module(module)
    return home if attribute is None else getattr(home, attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
