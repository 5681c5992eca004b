"""The parts that all pages share: templates, the style sheet, and pictures inside a page."""

from __future__ import annotations

import base64
from functools import partial
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from torch import Tensor

from anchorlab.data.pictures import to_png
from anchorlab.reports.attached import attached
from anchorlab.reports.looks import dark_variables
from anchorlab.statistics.escaping import visible

#: The file name of a page.
PAGE = "index.html"


def environment(out: Path | None = None) -> Environment:
    """Loads templates from the folder ``assets``. Values are escaped, and unknown names are errors.

    Characters that steer what shows them are written as their codes; see `anchorlab.statistics.escaping.visible`.

    Args:
        out: the folder of the page, whose small files templates put into it with ``attached``; None if it has none.
    """
    templates = Environment(
        loader=PackageLoader("anchorlab.reports", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    if out is not None:
        templates.globals["attached"] = partial(attached, out)
    return templates


def style_sheet() -> Markup:
    """The style sheet of every page, with the colours that figures have on dark ground."""
    return asset("page.css") + Markup(
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark_variables()} }} }}\n"
    )


def asset(name: str) -> Markup:
    """The text of a file of ``assets`` that goes into a page as it is: a style sheet or a script."""
    return Markup((files("anchorlab.reports") / "assets" / name).read_text(encoding="utf-8"))


def png_uri(png: bytes) -> str:
    """The bytes of a PNG file inside a URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def picture_uri(picture: Tensor) -> str:
    """A picture, uint8 ``[C, H, W]``, as a PNG inside a URI; C is 3 for colour, anything else is averaged to grey."""
    return png_uri(to_png(picture))
