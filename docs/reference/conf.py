"""How Sphinx makes the reference from the docstrings: `make reference`."""

from __future__ import annotations

import os
from pathlib import Path

# Airflow makes this folder when it is imported.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parents[2] / ".airflow" / "reference"))

import airflow_provider_moengage

project = "airflow-provider-moengage"
version = release = airflow_provider_moengage.__version__
extensions = ["sphinx.ext.autodoc"]
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"

# A cross-reference that leads nowhere is an error, but for types of Python, Airflow and other libraries, whose indexes
# it takes a network to get.
nitpicky = True
nitpick_ignore_regex = [("py:(class|exc|obj)", r"(?!airflow_provider_moengage\.).*")]

toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

html_title = f"{project} {version}"
html_theme = "alabaster"
html_theme_options = {"page_width": "75rem", "sidebar_width": "18rem", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "localtoc.html", "searchbox.html"]}
html_show_sourcelink = False
html_copy_source = False
