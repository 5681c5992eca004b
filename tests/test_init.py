"""The public interface: its names, where they come from, what importing costs, and the former names."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import anchorlab
from anchorlab.registry import Registry

#: Libraries that take long to import. The names and the help must not wait for them.
HEAVY = {"torch", "transformers", "datasets", "accelerate", "numpy", "pandas", "scipy", "matplotlib"}

VERBS = {
    *("train", "adopt", "wrap", "inject", "compare", "compare_logits", "compare_tokens", "analyze"),
    *("audit", "audit_answers"),
    *("load_suite", "run_suite", "load_model", "load_task", "load_results", "repair", "detect", "write_report"),
}

FAMILIES = {"methods", "triggers", "repairs", "detectors", "metrics"}


def test_the_verbs_and_the_families_are_public():
    assert {*anchorlab.__all__} >= VERBS | FAMILIES


@pytest.mark.parametrize("name", anchorlab.__all__)
def test_every_public_name_has_a_home_and_a_docstring(name):
    public = getattr(anchorlab, name)
    assert public.__doc__
    assert isinstance(public, ModuleType) == (name in FAMILIES)
    if not isinstance(public, Registry):  # an instance, of no name
        assert public.__name__ == (f"anchorlab.{name}" if name in FAMILIES else name)


def test_dir_shows_the_public_names_and_nothing_else():
    assert sorted(dir(anchorlab)) == sorted([*anchorlab.__all__, "__version__"])


def test_a_star_import_brings_the_public_names():
    names: dict[str, object] = {}
    exec("from anchorlab import *", names)
    assert names.keys() >= {*anchorlab.__all__}


@pytest.mark.parametrize("statement", ["import anchorlab; dir(anchorlab)", "import anchorlab.cli"])
def test_importing_waits_for_no_heavy_library(statement):
    check = f"import sys\n{statement}\nprint(*sorted({HEAVY} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(("former", "new"), sorted(anchorlab._FORMER.items()))
def test_a_former_name_works_and_names_the_new_one(former, new):
    assert new in anchorlab.__all__
    assert former not in anchorlab.__all__
    with pytest.deprecated_call(match=rf"anchorlab\.{former} is now called anchorlab\.{new}; ") as caught:
        assert getattr(anchorlab, former) is getattr(anchorlab, new)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'anchorlab' has no attribute 'trian'"):
        _ = anchorlab.trian
