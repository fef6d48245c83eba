"""The pages that `make docs` makes, made once for the tests that look at them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    import pytest

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
"""What people read, without the reference, which is made from the docstrings."""


def built_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Make the pages as `make docs` does; a warning fails the tests.

    :param tmp_path_factory: pytest's own.
    :return: the folder with index.html.
    """
    folder = tmp_path_factory.getbasetemp()
    pages = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "pages"
    with FileLock(pages.with_suffix(".lock")):
        if not pages.exists():
            command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", DOCS, pages]
            made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
    return pages
