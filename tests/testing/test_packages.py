"""The contracts of a package's entry points; the template keeps them all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anchorlab import AnchorlabError
from anchorlab.methods import METHODS
from anchorlab.testing import check_package
from anchorlab.triggers import TRIGGERS
from tests.cli.conftest import run as run  # the command line in this process
from tests.testing.packaged import describe, load_registries, on_the_path

TEMPLATE = Path(__file__).parent.parent.parent / "examples" / "plugin"


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    with on_the_path(tmp_path, TEMPLATE, monkeypatch) as project:
        yield project


def test_the_template_keeps_all_contracts(template: dict[str, Any], run: Any, tmp_path: Path) -> None:
    ended = run("plugin", "check", "anchorlab-example", "--json", tmp_path / "contracts.json")
    assert (ended.code, "this runs the code of anchorlab-example 0.1.0" in ended.err) == (0, True)
    contracts = json.loads((tmp_path / "contracts.json").read_text())["contracts"]
    registered = [name for group in template["entry-points"].values() for name in group]
    assert [contract["name"] for contract in contracts] == registered
    assert all(contract["kept"] for contract in contracts)
    assert "all 6 keep their contracts" in ended.out
    assert "top-anchoring" not in METHODS.names()


def test_the_template_s_own_tests_pass(template: dict[str, Any]) -> None:
    names: dict[str, Any] = {}
    path = TEMPLATE / "tests" / "test_contracts.py"
    exec(compile(path.read_text(), str(path), "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 5
    for test in tests:
        test()


def made(folder: Path, code: str, points: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package ``odd`` of one module with this code."""
    load_registries()
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    (folder / "odd.py").write_text(code)
    describe(folder, {"name": "odd", "version": "1", "entry-points": points})
    monkeypatch.syspath_prepend(str(folder))


def test_a_broken_rule_is_exit_code_1_and_a_sentence(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from pydantic.dataclasses import dataclass\nfrom anchorlab.triggers import ImageTrigger\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Dark(ImageTrigger):\n"
        "    def constants(self, shape):\n        return ()\n"
        "    def apply(self, images):\n        images[..., 0, :] = 0\n        return images\n"
    )
    made(tmp_path, code, {"anchorlab.triggers": {"dark": "odd:Dark"}}, monkeypatch)
    ended = run("plugin", "check", "odd")
    assert ended.code == 1
    assert "trigger dark, on images of 1×8×8: leaves its inputs as they are: it changes the inputs" in ended.out
    assert "1 of 1 breaks the contract" in ended.out
    assert "dark" not in TRIGGERS.names()


def test_what_cannot_be_imported_or_has_a_name_that_is_taken(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {
        "anchorlab.methods": {"plain": "odd:Plain", "gone": "odd:Gone"},
        "anchorlab.repairs": {"away": "nowhere.at_all:Away"},
        "anchorlab.tasks": {"mine": "odd:TASK"},
    }
    made(tmp_path, "from anchorlab.methods import L2 as Plain\n", points, monkeypatch)
    plain, gone, away, task = check_package("odd")
    assert "caution: nothing of the task mine was tried" in run("plugin", "check", "odd").out
    assert "choose another name" in plain.broken[0].sentence
    assert "'odd:Gone' cannot be imported (AttributeError" in gone.broken[0].sentence
    assert "cannot be imported (ModuleNotFoundError: No module named 'nowhere')" in away.broken[0].sentence
    assert (task.kept, task.findings[0].outcome) == (True, "not tried")


def test_packages_that_are_not_there_or_add_nothing() -> None:
    with pytest.raises(AnchorlabError, match="no package 'nosuch' is installed here: install it beside anchorlab"):
        check_package("nosuch")
    with pytest.raises(AnchorlabError, match="the package 'pytest' registers nothing: name its classes"):
        check_package("pytest")
