"""The printed block has llama.cpp's form, and blocks of all its builds are read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.tokens.llama_block import LINES, block_text, read_block
from anchorlab.tokens.llama_cpp import Entry

PRESENT = """\
chunk             PPL            ln(PPL(Q)/PPL(base))          KL Divergence             Δp RMS
   1       8.1234 ±    0.9000       0.05000 ±    0.01000       0.09000 ±    0.01000     9.000 ±  0.500 %

====== Perplexity statistics ======
Mean PPL(Q)                   :   8.966302 ±   0.160270
Mean PPL(base)                :   8.453608 ±   0.150165
Cor(ln(PPL(Q)), ln(PPL(base))):  98.10%
Mean ln(PPL(Q)/PPL(base))     :   0.058880 ±   0.003478
Mean PPL(Q)/PPL(base)         :   1.060648 ±   0.003689
Mean PPL(Q)-PPL(base)         :   0.512694 ±   0.031904

====== KL divergence statistics ======
Mean    KLD:   0.097973 ±   0.002198
Maximum KLD:  20.749897
99.9%   KLD:   4.200683
99.0%   KLD:   1.447031
95.0%   KLD:   0.367780
90.0%   KLD:   0.183454
Median  KLD:   0.024584
10.0%   KLD:   0.000105
 5.0%   KLD:   0.000028
 1.0%   KLD:   0.000002
 0.1%   KLD:  -0.000001
Minimum KLD:  -0.000134

====== Token probability statistics ======
Mean    Δp: -1.461 ± 0.065 %
Maximum Δp: 99.362%
99.9%   Δp: 54.835%
99.0%   Δp: 21.144%
95.0%   Δp:  6.569%
90.0%   Δp:  2.669%
75.0%   Δp:  0.176%
Median  Δp: -0.009%
25.0%   Δp: -0.831%
10.0%   Δp: -6.200%
 5.0%   Δp: -13.478%
 1.0%   Δp: -51.942%
 0.1%   Δp: -90.755%
Minimum Δp: -99.634%
RMS Δp    : 10.455 ± 0.186 %
Same top p: 85.422 ± 0.223 %
"""

OLDER = PRESENT.replace("95.0%   KLD:   0.367780\n90.0%   KLD:   0.183454\n", "99.0%   KLD:   1.447031\n").replace(
    " 0.1%   KLD:  -0.000001\n", ""
)

FIRST = """\
===== KL-divergence statistics
Average:   0.001231 ±  0.000012
Median :   0.000521
Maximum:   0.904233
KLD_99 :   0.010211
KLD_95 :   0.004322
KLD_90 :   0.002733
Minimum:  -0.000094
KLD_01 :   0.000002
KLD_05 :   0.000011
KLD_10 :   0.000031
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "quantised.log"
    path.write_text(PRESENT, encoding="utf-8")
    return path


def test_a_block_that_was_read_is_written_as_it_was(log: Path) -> None:
    """The form of a block that a user published, digit for digit."""
    written = "\n".join(block_text(read_block(log)))
    assert written + "\n" == PRESENT[PRESENT.index("====== Perp") :]


def test_rates_and_changes_are_fractions(log: Path) -> None:
    block = read_block(log)
    assert block["same_top"] == Entry(pytest.approx(0.85422), pytest.approx(0.00223))
    assert block["delta_p_p5"].value == pytest.approx(-0.13478)
    assert block["nll_correlation"].value == pytest.approx(0.981)


def test_our_interval_stands_after_a_line_and_is_no_obstacle_to_reading(tmp_path: Path, log: Path) -> None:
    block = dict(read_block(log))
    block["kl"] = Entry(0.097973, 0.002198, (0.09, 0.11))
    block["same_top"] = Entry(0.85422, 0.00223, (0.84, 0.87))
    lines = block_text(block)
    assert "Mean    KLD:   0.097973 ±   0.002198   [0.090000, 0.110000]" in lines
    assert "Same top p: 85.422 ± 0.223 %   [84.000, 87.000] %" in lines
    pasted = tmp_path / "ours.log"
    pasted.write_text("\n".join(lines), encoding="utf-8")
    assert read_block(pasted)["kl"] == Entry(0.097973, 0.002198)


def test_the_headings_of_older_builds_are_read(log: Path) -> None:
    log.write_text(OLDER, encoding="utf-8")
    block = read_block(log)
    assert block["kl_p99"].value == 1.447031
    assert set(LINES) - set(block) == {"kl_p95", "kl_p90", "kl_p0_1"}


def test_the_headings_of_the_first_builds_are_read(log: Path) -> None:
    log.write_text(FIRST, encoding="utf-8")
    block = read_block(log)
    assert block["kl"] == Entry(0.001231, 0.000012)
    assert {name: block[name].value for name in ("kl_max", "kl_p99", "kl_p5", "kl_min")} == {
        "kl_max": 0.904233,
        "kl_p99": 0.010211,
        "kl_p5": 0.000011,
        "kl_min": -0.000094,
    }


def test_time_stamps_before_the_lines_and_windows_line_ends_are_no_obstacle(log: Path) -> None:
    stamped = "\r\n".join(f"0.01.234.567 I {line}" for line in PRESENT.splitlines())
    before = read_block(log)
    log.write_text(stamped, encoding="utf-8")
    assert read_block(log) == before


def test_what_is_not_finite_is_read(log: Path) -> None:
    log.write_text("Mean    KLD:        inf ±       -nan\nRMS Δp    :  0.000 ±  -nan %\n", encoding="utf-8")
    block = read_block(log)
    assert block["kl"].value == math.inf
    assert math.isnan(block["kl"].error or 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no statistics of llama.cpp"),
        ("Average: 7\nMaximum: 9\n", "holds no statistics of llama.cpp"),
        ("Mean    KLD:   0.1 ±   0.2\nMean    KLD:   0.3 ±   0.2\n", "more than one run"),
    ],
)
def test_a_log_without_a_block_or_with_two_is_refused(log: Path, content: str, words: str) -> None:
    log.write_text(content, encoding="utf-8")
    with pytest.raises(AnchorlabError, match=words):
        read_block(log)


def test_a_block_twice_over_is_one_block(log: Path) -> None:
    before = read_block(log)
    log.write_text(PRESENT + PRESENT, encoding="utf-8")
    assert read_block(log) == before


def test_a_file_that_is_no_text_is_refused(log: Path) -> None:
    log.write_bytes(bytes(range(256)))
    with pytest.raises(AnchorlabError, match="holds no statistics"):
        read_block(log)
