"""Every registered class cites what is in references.bib, and every entry there is complete and cited."""

from __future__ import annotations

import re

import pytest

from anchorlab.data import TASKS
from anchorlab.detectors import DETECTORS
from anchorlab.errors import AnchorlabError
from anchorlab.methods import METHODS
from anchorlab.metrics import METRICS
from anchorlab.models.architectures import ARCHITECTURES
from anchorlab.repairs import REPAIRS
from anchorlab.reports.paper.bibliography import Bibliography, known_entries
from anchorlab.triggers import TRIGGERS

FAMILIES = (METHODS, TRIGGERS, REPAIRS, DETECTORS, METRICS, TASKS, ARCHITECTURES)
#: What the texts of the kit cite beside the classes.
ALWAYS = {"anchorlab", "paszke2019pytorch", "wolf2020transformers", "loshchilov2019decoupled"}
OWN = """@misc{mine, author = {Me}, title = {Mine}, year = {2026}}"""


def cited() -> set[str]:
    members = [family[name] for family in FAMILIES for name in family.names()]
    return {key for member in members if member.__module__.startswith("anchorlab") for key in member.cites}


def test_every_class_cites_entries_that_are_there() -> None:
    assert cited() <= set(known_entries())


def test_every_entry_is_cited() -> None:
    assert set(known_entries()) == cited() | ALWAYS


@pytest.mark.parametrize("key", known_entries())
def test_an_entry_has_author_title_year_and_a_place(key: str) -> None:
    entry = known_entries()[key]
    for name in ("author", "title", "year"):
        assert re.search(rf"\b{name} = {{", entry), name
    assert re.search(r"\b(booktitle|journal|institution|howpublished|note) = {", entry)
    assert entry.isascii()
    assert entry.count("{") == entry.count("}")
    assert all(re.fullmatch(r"\d{4}\.\d{4,5}", number) for number in re.findall(r"arXiv:([^}]*)", entry))


def test_every_method_trigger_repair_and_detector_of_a_paper_cites_it() -> None:
    without = {
        name for family in (METHODS, TRIGGERS, REPAIRS, DETECTORS) for name in family.names() if not family[name].cites
    }
    assert without == {"benign", "picture", "command"}


def test_the_docs_name_the_same_arxiv_numbers() -> None:
    """A number in the docstring of a class's file is in one of the entries that the class cites."""
    import sys

    for family in (METHODS, TRIGGERS, REPAIRS, DETECTORS):
        for name in family.names():
            member = family[name]
            words = " ".join((sys.modules[member.__module__].__doc__ or "", member.__doc__ or ""))
            first = re.search(r"\b(\d{4}\.\d{5})\b", words)
            if first is not None and member.cites:
                assert any(first[1] in known_entries()[key] for key in member.cites), name


def test_keys_keep_the_order_of_citation_and_stand_once() -> None:
    bibliography = Bibliography("1.2.3")
    assert bibliography.keys(["gu2017badnets", "zhang2022how", "gu2017badnets"]) == ["gu2017badnets", "zhang2022how"]
    bibliography.keys(["anchorlab", "zhang2022how"])
    assert re.findall(r"@\w+{(\w+),", bibliography.text()) == ["gu2017badnets", "zhang2022how", "anchorlab"]
    assert "Version 1.2.3" in bibliography.text()


def test_a_third_party_gives_its_own_entry() -> None:
    bibliography = Bibliography("1")
    assert bibliography.keys([OWN]) == ["mine"]
    assert OWN in bibliography.text()


@pytest.mark.parametrize("wrong", ["nobody2000nothing", "@nothing", "@misc{no key}"])
def test_what_is_no_entry_is_refused(wrong: str) -> None:
    with pytest.raises(AnchorlabError, match="BibTeX"):
        Bibliography("1").keys([wrong])


def test_the_version_goes_into_our_own_entry_alone() -> None:
    bibliography = Bibliography("0.2.0")
    bibliography.keys(["anchorlab", "@misc{mine, author = {Me}, title = {{INVERSION}}, year = {2026}}"])
    text = bibliography.text()
    assert "Version 0.2.0" in text
    assert "{{INVERSION}}" in text
