"""The figures: exactly as wide as asked, text that stays text at 8 points, the same twice, points beside them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from anchorlab.reports.paper.kit import PaperKit, write_kit
from tests.reports.paper.conftest import PaperResults, text

FIGURES = ["metrics", "front-kl", "front-churn"]


def size_of_pdf(path: Path) -> tuple[float, float]:
    """Width and height in inches."""
    found = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", path.read_bytes())
    assert found is not None
    return float(found[1]) / 72, float(found[2]) / 72


@pytest.mark.parametrize("stem", FIGURES)
def test_figures_are_exactly_as_wide_as_asked(kit: PaperKit, stem: str) -> None:
    assert size_of_pdf(kit.folder / f"{stem}.pdf")[0] == pytest.approx(3.3, abs=1e-3)
    root = ElementTree.parse(kit.folder / f"{stem}.svg").getroot()
    assert float(root.get("width", "").removesuffix("pt")) / 72 == pytest.approx(3.3, abs=1e-3)


def test_another_width(one_condition: PaperResults, tmp_path: Path) -> None:
    kit = write_kit(one_condition, tmp_path, columns=["kl"], width="120mm")  # type: ignore[arg-type]
    assert size_of_pdf(kit.folder / "metrics.pdf")[0] == pytest.approx(120 / 25.4, abs=1e-3)


@pytest.mark.parametrize("stem", FIGURES)
def test_text_stays_text_of_eight_points_or_more(kit: PaperKit, stem: str) -> None:
    root = ElementTree.parse(kit.folder / f"{stem}.svg").getroot()
    texts = [element for element in root.iter() if element.tag.endswith("}text")]
    words = ["".join(element.itertext()) for element in texts]
    assert {"anchoring", "KL (nats)" if stem != "front-churn" else "churn"} <= set(words)
    sizes = [float(found) for element in texts for found in re.findall(r"([\d.]+)px", element.get("style", ""))]
    assert sizes
    # A pixel of the file is a point of the page.
    assert min(sizes) >= 8


@pytest.mark.parametrize("stem", FIGURES)
def test_fonts_of_the_pdf_are_truetype(kit: PaperKit, stem: str) -> None:
    content = (kit.folder / f"{stem}.pdf").read_bytes()
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_the_same_results_give_the_same_bytes(one_condition: PaperResults, kit: PaperKit, tmp_path: Path) -> None:
    again = write_kit(one_condition, tmp_path)  # type: ignore[arg-type]
    for name in kit.files:
        assert (again.folder / name).read_bytes() == (kit.folder / name).read_bytes(), name


def test_the_points_of_the_metrics_by_reference_and_seed(kit: PaperKit, one_condition: PaperResults) -> None:
    points = pd.read_csv(io.StringIO(text(kit, "metrics.csv")))
    ours = points[(points["method"] == "anchoring") & (points["metric"] == "kl")]
    runs = ours[ours["what"] == "run"]
    expected = one_condition.results[one_condition.results["method"] == "anchoring"]
    assert runs[["reference_seed", "seed"]].drop_duplicates().shape == (9, 2)
    assert sorted(runs["value"]) == pytest.approx(sorted(expected["kl"]))
    (mean,) = ours[ours["what"] == "mean"].to_dict("records")
    assert mean["lower"] < mean["value"] < mean["upper"]
    assert mean["value"] == pytest.approx(np.exp(np.log(runs["value"]).mean()))


def test_the_points_of_the_front_name_the_strength(kit: PaperKit) -> None:
    points = pd.read_csv(io.StringIO(text(kit, "front-kl.csv")))
    tried = points[points["what"] == "tried"]
    assert set(tried["split"]) == {"selection"}
    assert set(tried[tried["method"] == "surgery"]["strength_name"]) == {"count"}
    assert set(tried[tried["method"] == "weight-ball"]["strength_name"]) == {"radius"}
    assert set(points[points["what"] == "reported"]["split"]) == {"test"}
    assert {"asr_lower", "asr_upper", "kl_lower", "kl_upper"} <= set(points)
