"""The summary of made-up tokens equals plain numpy, document by document."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

import anchorlab.tokens.ordered
import anchorlab.tokens.summary
from anchorlab.statistics.documents import ratio_of_sums
from anchorlab.tokens.measurements import COLUMNS, MEASUREMENTS
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.summary import Tokens, by_domain, by_position, cautions_of, quantile

SIZES = np.arange(30, 70)
SOME = ["kl", "kl_p50", "kl_p99", "kl_max", "sure_flips", "kl_infinite", "kl_reverse_infinite", "nll_infinite"]


def made_up(rng, sizes=SIZES):
    """Columns of documents of these sizes, whose tokens are alike."""
    N, document = sizes.sum(), np.repeat(np.arange(len(sizes)), sizes)
    level = rng.lognormal(sigma=0.2, size=len(sizes))[document]
    columns = {
        "document": document,
        "position": np.concatenate([np.arange(1, size + 1) for size in sizes]),
        "token": rng.integers(0, 50, N),
        "same_top": rng.random(N) < 0.9,
        "rank": rng.integers(1, 4, N),
        "top_reference": np.zeros(N, int),
        "top_candidate": np.zeros(N, int),
    }
    floats = [name for name in COLUMNS if name not in columns]
    return columns | {name: rng.gamma(2, 0.5, N) * level for name in floats}


@pytest.fixture
def columns():
    return made_up(np.random.default_rng(0))


def stored(columns):
    store = TokenStore()
    half = len(columns["kl"]) // 2
    store.append({name: values[:half] for name, values in columns.items()})
    store.append({name: values[half:] for name, values in columns.items()})
    return store


def summed(columns, values, chosen=None):
    chosen = np.ones(len(values), bool) if chosen is None else chosen
    D = columns["document"].max() + 1
    sums = [values[chosen & (columns["document"] == d)].sum() for d in range(D)]
    return ratio_of_sums(sums, [(chosen & (columns["document"] == d)).sum() for d in range(D)])


def test_every_measurement_is_there_and_means_are_those_of_numpy(columns):
    with stored(columns) as store:
        found = Tokens(store.column, len(SIZES)).measure()
    assert [*found] == [*MEASUREMENTS]
    change = columns["nll_candidate"] - columns["nll_reference"]
    is_sure = columns["margin"] >= math.log(10)
    expected = {
        "kl": (columns["kl"], None, None),
        "delta_p": (columns["delta_p"], None, None),
        "kl_rms": (columns["kl"] ** 2, None, np.sqrt),
        "log_ppl_ratio": (change, None, None),
        "ppl_ratio": (change, None, np.exp),
        "ppl_candidate": (columns["nll_candidate"], None, np.exp),
        "same_top": (columns["same_top"].astype(float), None, None),
        "sure": (is_sure.astype(float), None, None),
        "sure_flips": (1.0 - columns["same_top"], is_sure, None),
        "rank": (columns["rank"].astype(float), None, None),
    }
    for name, (values, chosen, function) in expected.items():
        estimate = summed(columns, values, chosen)
        ends = (estimate.value, *estimate.bounds)
        ends = ends if function is None else function(ends)
        low, high = MEASUREMENTS[name].limits
        assert found[name].value == pytest.approx(ends[0], rel=1e-12), name
        assert found[name].interval == pytest.approx(np.clip(ends[1:], low, high), rel=1e-9), name
        assert found[name].tokens == (len(values) if chosen is None else chosen.sum())


def measured(columns, names=None):
    """All that is measured, everywhere and by parts."""
    domains = ["prose" if d % 3 else "code" for d in range(len(SIZES))]
    with stored(columns) as store:
        tokens = Tokens(store.column, len(SIZES))
        parts = [*by_position(store, len(SIZES), 70), *by_domain(store, domains)]
        return {"whole": tokens.measure(), **{part.name: part.measurements for part in parts}}, tokens.spread()


@pytest.mark.parametrize("piece", [150, 999])
def test_a_few_tokens_at_once_give_the_same_as_all(piece, columns, monkeypatch):
    columns["kl"][:7] = np.inf
    (whole, spread) = measured(columns)
    monkeypatch.setattr(anchorlab.tokens.summary, "PIECE", piece)
    monkeypatch.setattr(anchorlab.tokens.ordered, "RUN", 3 * piece)
    (parts, spread_of_parts) = measured(columns)
    assert [*parts] == [*whole]
    assert spread_of_parts == pytest.approx(spread)
    for name, expected in whole.items():
        for measurement, one in expected.items():
            other = parts[name][measurement]
            assert (other.documents, other.tokens, other.undefined) == (one.documents, one.tokens, one.undefined)
            assert other.value == (one.value if one.value is None else pytest.approx(one.value, rel=1e-12))
            assert other.interval == (one.interval if one.interval is None else pytest.approx(one.interval, rel=1e-9))


def test_memory_does_not_grow_with_the_number_of_tokens(monkeypatch):
    """The most that numpy and Python held at once while tokens were summarised, and not what a file holds."""
    monkeypatch.setattr(anchorlab.tokens.summary, "PIECE", 500)
    monkeypatch.setattr(anchorlab.tokens.ordered, "RUN", 4000)
    domains, held = ["prose" if d % 3 else "code" for d in range(20)], []
    for tokens in (8_000, 8_000, 40_000):  # the first one pays for what is made once
        with TokenStore() as store:
            sizes = np.full(20, tokens // 20)
            columns = made_up(np.random.default_rng(0), sizes) | {"position": np.tile(np.arange(1, sizes[0] + 1), 20)}
            store.append(columns)
            del columns
            tracemalloc.start()
            summary = Tokens(store.column, 20)
            cautions_of(summary, summary.measure(SOME))
            by_position(store, 20, 64)
            by_domain(store, domains)
            held.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert held[2] < held[1] + 8 * 32_000 / 2  # half of what one column of the further tokens would take


def test_quantiles_and_extremes_are_those_of_numpy(columns):
    with stored(columns) as store:
        found = Tokens(store.column, len(SIZES)).measure()
    for percent in (50, 75, 90, 95, 99, 99.9):
        each = found[f"kl_p{percent:g}".replace(".", "_")]
        assert each.value == pytest.approx(np.percentile(columns["kl"], percent), rel=1e-12)
        if each.interval is not None:
            assert each.interval[0] < each.value < each.interval[1]
    assert found["kl_p50"].interval is not None
    assert found["kl_p99_9"].interval is None  # two tokens lie beyond it
    assert found["kl_p99_9"].undefined == "fewer than ten documents lie beyond it"
    assert (found["kl_min"].value, found["kl_max"].value) == (columns["kl"].min(), columns["kl"].max())
    assert found["kl_max"].interval is None


def test_a_percentile_of_values_that_tie_has_an_interval_about_its_own_share(columns):
    """97% of the KLs are exactly 0, so that half of all and a little more or less are 0 too."""
    columns["kl"][np.random.default_rng(3).random(len(columns["kl"])) < 0.97] = 0.0
    with stored(columns) as store:
        found = Tokens(store.column, len(SIZES)).measure(["kl_p50", "kl_p75"])
    assert [(each.value, each.interval) for each in found.values()] == [(0.0, (0.0, 0.0))] * 2


def test_infinite_tokens_are_counted_and_left_out_of_means(columns):
    columns["kl"][[3, 500]] = math.inf
    with stored(columns) as store:
        tokens = Tokens(store.column, len(SIZES))
        found = tokens.measure()
        sentences = cautions_of(tokens, found)
    finite = np.isfinite(columns["kl"])
    assert found["kl_infinite"].value == 2
    assert found["kl"].value == pytest.approx(columns["kl"][finite].mean())
    assert found["kl"].tokens == finite.sum()
    assert found["kl_max"].value == math.inf
    assert found["kl_p50"].value == pytest.approx(np.median(columns["kl"]))
    assert found["kl_reverse_infinite"].value == 0
    assert "means leave infinite tokens out (2 of infinite KL)" in sentences[-1]


def test_few_documents_are_warned_of_and_one_has_no_interval():
    rng = np.random.default_rng(1)
    for sizes, words in (([50], "one document has no interval"), ([50] * 5, "intervals over 5 documents may be too")):
        columns = made_up(rng, np.array(sizes))
        with stored(columns) as store:
            tokens = Tokens(store.column, len(sizes))
            found = tokens.measure()
            assert words in cautions_of(tokens, found)[0]
        assert (found["kl"].interval is None) == (len(sizes) == 1)
        assert all(each.interval is None for name, each in found.items() if "_p" in name and name[-1].isdigit())


def test_documents_that_differ_much_are_warned_of():
    columns = made_up(np.random.default_rng(1))
    columns["kl"] *= np.exp(np.random.default_rng(2).normal(size=len(SIZES)))[columns["document"]]
    with stored(columns) as store:
        tokens = Tokens(store.column, len(SIZES))
        assert "mean KLs differ much" in cautions_of(tokens, tokens.measure())[0]


def test_a_share_that_is_the_same_everywhere_has_an_interval_of_as_many_documents(columns):
    columns["same_top"][:] = True
    with stored(columns) as store:
        found = Tokens(store.column, len(SIZES)).measure(["same_top"])["same_top"]
    assert found.value == 1
    assert found.interval == (pytest.approx(0.025 ** (1 / 40)), 1.0)


def test_parts_by_position_and_domain_are_the_summaries_of_their_tokens(columns):
    domains = ["even" if d % 2 == 0 else "odd" for d in range(len(SIZES))]
    with stored(columns) as store:
        positions, parts = by_position(store, len(SIZES), 64), by_domain(store, domains)
    assert [part.name for part in positions] == ["1", "2–3", "4–7", "8–15", "16–31", "32–63", "64"]
    chosen = (columns["position"] >= 16) & (columns["position"] < 32)
    assert positions[4].measurements["kl"].value == pytest.approx(summed(columns, columns["kl"], chosen).value)
    assert [part.name for part in parts] == ["odd", "even"]  # of more tokens first
    even = columns["document"] % 2 == 0
    assert parts[1].measurements["kl"].estimate.bounds == pytest.approx(summed(columns, columns["kl"], even).bounds)
    assert parts[1].measurements["kl"].documents == 20


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.77, 0.999, 1])
def test_quantiles_interpolate_as_numpy_does(share):
    values = np.sort(np.random.default_rng(0).normal(size=41))
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), abs=1e-15)
    values[-3:] = np.inf
    assert quantile(values, 1.0) == math.inf
