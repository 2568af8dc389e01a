"""Configuration of the site."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import skvae

sys.path.insert(0, str(Path(__file__).parent))
from _parameters import groups_of

project = "skvae"
author = "The skvae developers"
copyright = "2026, The skvae developers"
version = release = skvae.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
default_role = "literal"

autosummary_generate = True


def own_methods(fullname):
    """Return the names of the public methods of a class that skvae defines."""
    module, _, name = fullname.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    members = inspect.getmembers(cls, lambda member: inspect.isroutine(member))
    return [
        name
        for name, member in members
        if not name.startswith("_")
        and str(getattr(member, "__module__", "")).startswith("skvae")
    ]


autosummary_context = {"own_methods": own_methods, "groups_of": groups_of}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "backreferences_dir": "api/backreferences",
    "doc_module": ("skvae",),
    "reference_url": {"skvae": None},
    "remove_config_comments": True,
    # This page would load a style of another host.
    "write_computation_times": False,
}
suppress_warnings = ["config.cache"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"skvae {version}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False}
html_sidebars = {"install": [], "api": []}


def skip_foreign_members(app, what, name, obj, skip, options):
    """Leave what scikit-learn itself documents to scikit-learn."""
    module = getattr(inspect.unwrap(obj) if callable(obj) else obj, "__module__", "")
    if callable(obj) and not (module or "").startswith("skvae"):
        return True
    return skip


TAG = re.compile(r"<(script|img|iframe|source|video|object|embed|link)\b[^>]*>")
REMOTE = re.compile(r"(?:src|href|data|srcset)=[\"']?(?:https?:)?//")
IDLE_LINK = re.compile(r"rel=[\"']?(?:canonical|author|license|search|index|next|prev)")
"""A tag of the head that is read only when it is followed."""
STYLE = re.compile(r"@import\s+[\"'](?:https?:)?//|url\(\s*[\"']?(?:https?:)?//")


def remote_assets(text):
    """Yield what makes a browser ask another host when it opens a page or a style."""
    for tag in TAG.finditer(text):
        if REMOTE.search(tag[0]) and not IDLE_LINK.search(tag[0]):
            yield tag[0]
    yield from (found[0] for found in STYLE.finditer(text))


def refuse_remote_assets(app, exception):
    """Fail if a page or a style sheet loads anything from another host."""
    if exception is not None or app.builder.format != "html":
        return
    files = [*Path(app.outdir).rglob("*.html"), *Path(app.outdir).rglob("*.css")]
    for path in files:
        for asset in remote_assets(path.read_text("utf-8")):
            raise ValueError(f"{path} loads from another host: {asset}")


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign_members)
    # After the extension that copies MathJax.
    app.connect("build-finished", refuse_remote_assets, priority=900)
