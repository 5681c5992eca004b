"""The page without a browser: self-contained, escaped, whole."""

import base64
import csv
import dataclasses
import html.parser
import json
import re

import pandas as pd
import pytest

from anchorlab.artifacts.manifest import NOTICES
from anchorlab.errors import AnchorlabError
from anchorlab.reports.suite.page import write_page
from tests.reports.conftest import make_suite


class Parsed(html.parser.HTMLParser):
    """Text, scripts by id, and every address of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.scripts, self.tags, self.ids, self.text = [], {}, [], [], ""
        self.inside, self.downloads = None, {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("src", "href", "action", "srcset", "data") if name in found]
        if "download" in found:
            self.downloads[found["download"]] = found["href"]
        self.inside = found.get("id", "script") if tag == "script" else tag if tag == "style" else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data
        else:
            self.text += data


@pytest.fixture(scope="module")
def out(suite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    assert write_page(dataclasses.replace(suite, pending=3), folder) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(out):
    return Parsed((out / "index.html").read_text())


@pytest.mark.slow
def test_the_page_needs_nothing_beside_it(page, out):
    assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
    assert [address for address in page.addresses if address.startswith("#") and address[1:] not in page.ids] == []
    named = re.findall(r'class="place">((?:tables|figures)/[^<]+)<', (out / "index.html").read_text())
    assert [name for name in named if not (out / name).is_file()] == ["figures/…png"]
    assert len(page.ids) == len(set(page.ids))
    assert "url(" not in page.scripts["style"]


def test_small_files_are_inside_the_page_under_their_names(page, out):
    files = {path.name: path for folder in ("tables", "figures") for path in (out / folder).iterdir()}
    assert {name.rpartition(".")[2] for name in page.downloads} == {"csv", "tex", "svg"}
    for name, address in page.downloads.items():
        assert base64.b64decode(address.split(",")[1]) == files[name].read_bytes(), name


def test_it_says_what_was_run_and_what_was_not(page, suite):
    text = " ".join(page.text.split())
    for words in (
        NOTICES["injected"],
        suite.title,
        suite.command,
        "3 reported runs are not done yet",
        "1 cell failed",
        "the loss is not finite: <lower> the rate",
        "not reached (best ASR 0.9700 on selection)",
        "with 3 injection seeds on 2 trained references",
        "<script>alert(1)</script>",
        "<b>ten</b> & co",
        "0" * 64,
        "torch 2.13.0",
    ):
        assert words in text, words
    assert "nan" not in text.lower().split()
    assert "b" not in page.tags
    assert "None" not in text.split()


def test_the_embedded_values_are_those_of_the_runs(page, suite):
    runs = json.loads(page.scripts["data"])["runs"]
    columns = dict(zip(runs["names"], runs["values"], strict=True))
    assert columns["kl"] == pytest.approx(list(suite.results["kl"]), rel=1e-4)
    assert columns["method"] == list(suite.results["method"])
    assert [value is None for value in columns["target_asr"]] == list(suite.results["target_asr"].isna())


def test_tables_lie_beside_it(out, suite):
    assert len(pd.read_csv(out / "tables" / "runs.csv")) == len(suite.results)
    for path in (out / "tables").glob("*.csv"):
        lines = list(csv.reader(path.open()))
        assert len({len(line) for line in lines}) == 1, path.name
        assert path.name == "runs.csv" or path.with_suffix(".tex").is_file()
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg"}


def test_a_suite_that_has_only_begun_can_be_shown(tmp_path):
    suite = make_suite(seeds=(0,), references=(0,), sizes=("64",), targets=(0.95,), failed=False)
    suite = dataclasses.replace(
        suite, results=suite.results.iloc[:1], examples={}, selection=pd.DataFrame(), references=[], versions={}
    )
    text = write_page(suite, tmp_path).read_text()
    assert "One or two references say nothing of others, so there is no interval with 1 reference." in text
    assert 'id="failed"' not in text
    with pytest.raises(AnchorlabError, match="no results to show"):
        write_page(dataclasses.replace(suite, results=pd.DataFrame(), choices=pd.DataFrame()), tmp_path)


@pytest.mark.slow
def test_without_pictures_the_changed_instances_are_words(tmp_path):
    suite = make_suite(seeds=(0,), references=(0,), sizes=("64",), targets=(0.95,))

    class Bare(type(suite)):
        def pictures(self, task, rows):
            return None

    bare = Bare(**{field.name: getattr(suite, field.name) for field in dataclasses.fields(suite)})
    page = Parsed(write_page(dataclasses.replace(bare, examples={}), tmp_path).read_text())
    assert "reference: " in page.text
    assert "img" not in page.tags
