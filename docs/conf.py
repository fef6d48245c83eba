"""How Sphinx makes the pages: `make docs`."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Airflow makes this folder when it is imported.
os.environ.setdefault("AIRFLOW_HOME", str(REPOSITORY / ".airflow" / "docs"))

import airflow_provider_moengage  # noqa: E402

project = "airflow-provider-moengage"
version = release = airflow_provider_moengage.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"

# A cross-reference that leads nowhere is an error, but for types of Python, Airflow and other libraries, whose indexes
# it takes a network to get. For the same reason only links within the pages are checked.
nitpicky = True
# What an editor shows of a half-made filter is not in the reference either.
nitpick_ignore_regex = [("py:(class|exc|obj)", r"(?!airflow_provider_moengage\.(?!segments\.filter)).*")]
linkcheck_ignore = ["https?://.*"]

toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

html_title = f"{project} {version}"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
