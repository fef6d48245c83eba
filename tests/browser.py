"""A headless Chromium, where one is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed here")


@contextmanager
def chromium() -> Iterator[Any]:
    """Run one; gives Playwright's Browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    # Beside the profile that it is given, it keeps reports of crashes in the user's folder of settings, and may do so
    # while it ends.
    with TemporaryDirectory(ignore_cleanup_errors=True) as home, sync_api.sync_playwright() as playwright:
        folders = dict.fromkeys(["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"], home)
        browser = playwright.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox"], env={**os.environ, **folders}
        )
        yield browser
        browser.close()
