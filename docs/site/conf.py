# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings for the documentation site; scripts/make_site.py runs it on pages that it has prepared."""

from __future__ import annotations

import auricle

project = "auricle"
author = "the auricle authors"
copyright = author
release = version = auricle.__version__
language = "en"
root_doc = "index"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block", "colon_fence"]

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "set_transform_request, set_fit_request, get_metadata_routing",  # scikit-learn's own
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of results are fields already, and would have two entries
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

# Names in signatures are looked up (-n). Those of other packages, of the standard library and of modules that are not
# public have no page here.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!auricle\.[A-Z]|auricle\.[a-z_0-9]+$).*"),
    (r"py:.*", r"auricle\.[a-z_]+\.(?!.*\bauricle\b).*"),
]

html_theme = "furo"
html_title = f"auricle {version}"
html_static_path = ["static"]
html_css_files = ["auricle.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "sidebar_hide_name": False,
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#1b6b5a", "color-brand-content": "#17604f"},
    "dark_css_variables": {"color-brand-primary": "#6fd3bb", "color-brand-content": "#7fdcc5"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
