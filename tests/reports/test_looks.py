"""Any two methods differ for readers with normal sight and with each kind of colour-blindness."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.reports.looks import LOOKS, OTHER_LOOKS, SERIES, looks, on_a_page, unchanging

#: What dichromats see, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
#: From linear RGB to CIE XYZ (sRGB, D65).
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
GROUND = {"light": "#ffffff", "dark": "#16171a"}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> np.ndarray:
    """CIE 1976 L*a*b* of what somebody sees."""
    seen = np.clip(np.asarray(SIGHT[sight]) @ linear(colour), 0, 1)
    share = XYZ @ seen / XYZ.sum(axis=1)
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(colours: list[str], sight: str) -> float:
    """The smallest CIE 1976 distance of two colours; 2.3 is just noticeable."""
    places = np.array([lab(colour, sight) for colour in colours])
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return float(distances[np.triu_indices(len(colours), 1)].min())


def test_the_distance_is_that_of_cie():
    np.testing.assert_allclose(lab("#ffffff", "normal"), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(lab("#ff0000", "normal"), [53.24, 80.09, 67.20], atol=0.05)
    assert nearest(["#ff0000", "#00aa00"], "normal") > 100
    assert nearest(["#d55e00", "#8c6d1f"], "deuteranopia") < 25


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("ground", GROUND)
def test_methods_differ_in_colour_for_every_reader(sight, ground):
    named = [getattr(look, ground) for name, look in LOOKS.items() if name != "reference"]
    every = [getattr(look, ground) for look in (*LOOKS.values(), *OTHER_LOOKS)]
    assert nearest(named, sight) > 16
    assert nearest(every, sight) > 10
    assert nearest([light if ground == "light" else dark for light, dark, _ in SERIES], sight) > 16


@pytest.mark.parametrize("ground", GROUND)
def test_every_colour_stands_out_from_its_ground(ground):
    for look in (*LOOKS.values(), *OTHER_LOOKS):
        bright = [float(XYZ[1] @ linear(colour)) + 0.05 for colour in (getattr(look, ground), GROUND[ground])]
        assert max(bright) / min(bright) >= 3, look


def test_markers_and_symbols_are_a_second_channel():
    every = [*LOOKS.values(), *OTHER_LOOKS]
    for part in ("marker", "symbol"):
        assert len({getattr(look, part) for look in every}) == len(every)


def test_methods_of_somebody_else_look_different_beside_each_other():
    names = ["mine", "yours", "hers"]
    assert len({look.light for look in looks(names).values()}) == 3
    assert looks(["mine"])["mine"] == looks(names)["mine"]


def test_a_sign_on_coloured_ground_keeps_its_colour_in_a_page():
    for colour in on_a_page():
        assert unchanging(colour) not in on_a_page()
        assert np.abs(linear(unchanging(colour)) - linear(colour)).max() < 0.01
