"""Configuration of the site."""

import inspect

import skvae

project = "skvae"
author = "The skvae developers"
copyright = "2026, The skvae developers"
version = release = skvae.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
default_role = "literal"

autosummary_generate = True
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


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign_members)
