"""Methods and their variants have the same look everywhere."""

from anchorlab.reports.drawing import looks


def test_a_variant_shares_its_methods_colour_with_another_filling():
    by_method = looks(["plain", "plain (stopped)", "mine", "anchoring"])
    assert by_method["plain"].light == by_method["plain (stopped)"].light
    assert by_method["plain"].filling != by_method["plain (stopped)"].filling
    assert by_method["mine"].light not in {by_method["plain"].light, by_method["anchoring"].light}
