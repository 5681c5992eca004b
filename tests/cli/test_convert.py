"""``anchorlab convert`` says what can be done next with what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("kind", ["clean", "injected"])
def test_the_next_command_adopts_the_model_as_what_it_is(
    run: Run, reference_folder: Path, injected_folder: Path, tmp_path: Path, kind: str
) -> None:
    folder = reference_folder if kind == "clean" else injected_folder
    ended = run("convert", folder / "model.safetensors", "--out", tmp_path / "converted")
    assert ended.code == 0
    further = "" if kind == "clean" else " --kind suspicious"
    converted = tmp_path / "converted"
    assert f"next: anchorlab adopt {converted} TASK{further} --out {converted}-adopted" in ended.out
