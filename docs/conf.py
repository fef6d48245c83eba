"""How Sphinx makes the pages: `make docs`."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[1]
# Airflow makes this folder when it is imported.
os.environ.setdefault("AIRFLOW_HOME", str(REPOSITORY / ".airflow" / "docs"))

import airflow_provider_moengage  # noqa: E402

project = "airflow-provider-moengage"
version = release = airflow_provider_moengage.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_enable_extensions = ["colon_fence", "deflist"]
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


class Parameters(SphinxDirective):
    """``.. parameters:: package.Class``: a table of what the docstring of a class says of its parameters."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        kind = pkgutil.resolve_name(self.arguments[0])
        said = re.findall(r"(?m)^:param (\w+): (.+(?:\n +.+)*)", inspect.getdoc(kind) or "")
        if not said:
            raise self.error(f"{self.arguments[0]} explains no parameters")
        rows = [".. list-table::", "   :widths: 22 78", "   :header-rows: 1", "", "   * - parameter", "     - meaning"]
        for name, text in said:
            default = _default_of(kind, name)
            meaning, templated, _ = f"{' '.join(text.split())} ".partition("(templated)")
            meaning += f"Default: ``{default!r}``. " if default else ""
            rows += [f"   * - ``{name}``", f"     - {meaning}{templated}"]
        return self.parse_text_to_nodes("\n".join(rows))


def _default_of(kind: type, name: str) -> object:
    """Say what a parameter is when it is left out, if that is a number or a text, or on."""
    signatures = [inspect.signature(ancestor.__init__) for ancestor in kind.__mro__ if "__init__" in vars(ancestor)]
    default = next((each.parameters[name].default for each in signatures if name in each.parameters), None)
    return default if isinstance(default, (int, float, str)) and name != "deferrable" else None


def setup(app: Sphinx) -> None:
    """Add the directive, as Sphinx asks."""
    app.add_directive("parameters", Parameters)
