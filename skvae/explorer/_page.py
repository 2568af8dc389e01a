"""Scripts, style and data → one page that asks nothing of any other place."""

import base64
import hashlib
import html
import re
from functools import cache
from importlib.resources import files
from string import Template

MODULES = (
    "unpack",
    "operators",
    "decoder",
    "cells",
    "colors",
    "dots",
    "scatter",
    "pointer",
    "legend",
    "unusual",
    "point",
    "lasso",
    "page",
)
"""Scripts in the order in which they need each other."""


def page(title: str, data: str) -> str:
    """Return a page.

    Its policy lets the browser run the one script and use the one style whose hashes it
    names, and load nothing: neither names nor values of a table can become code. They
    are all in the data, which is base64, and become text alone.

    Parameters
    ----------
    title : str
    data : str
        What `Pack.text` returns.
    """
    script, style = bundle(MODULES), asset("page.css")
    return Template(asset("page.html")).substitute(
        title=html.escape(title),
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
        data=data,
    )


@cache
def bundle(names: tuple[str, ...]) -> str:
    """Return modules as one script: they share their names, and import no others."""
    text = "\n".join(asset(f"{name}.js") for name in names)
    text = re.sub(r"^import .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


@cache
def asset(name: str) -> str:
    """Return the text of a file that belongs to the page."""
    return files("skvae.explorer").joinpath("assets", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a policy calls a script or a style of this text."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
