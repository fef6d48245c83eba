"""The pages below docs/: what they say is there, what they link to leads somewhere, and they work as files."""

from __future__ import annotations

import ast
import builtins
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import airflow_provider_moengage
from tests.browser import chromium, needs_a_browser
from tests.pages import DOCS, PAGES, REPOSITORY, built_pages
from tests.support import once

pytestmark = once

README = REPOSITORY / "README.md"
PACKAGE = Path(airflow_provider_moengage.__file__).parent
SOURCES = {file: ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}
# Sentences of Airflow's own.
NOT_OURS = {'XComArg result from wait ... with key="id" is not found'}
# Sentences of example DAGs.
EXAMPLES = "".join(file.read_text() for file in (REPOSITORY / "example_dags").glob("*.py"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return built_pages(tmp_path_factory)


def name_of(page):
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", [*PAGES, *(DOCS / "reference").glob("*.rst")], ids=name_of)
def test_a_page_begins_with_whom_it_is_for(page):
    title, opening, *_ = re.split(r"\n\n+", page.read_text())
    assert title.startswith("# ") or title.endswith("==")
    assert re.match(r"(This page is|This recipe is|These pages are) for ", opening), opening


def test_the_readme_takes_three_minutes():
    assert len(README.read_text().splitlines()) <= 200


# Written since everything stood in a README of 7,567 words. It had nothing of these.
SINCE_THEN = {
    "callbacks.md": [],
    "filters.md": [],
    "how-it-works.md": [],
    "security.md": [],
    "operators/create-segment.md": [],
    "operators/file-segments.md": [],
    "operators/sql-to-file-segment.md": [],
    "recipes/keep-segments-in-git.md": [],
    "recipes/sync-audience.md": [],
    "errors.md": ["Filters, new segments and files"],
    "many-workers.md": ["Teams", "Partitions"],
    "operators/archive-segments.md": ["How long it takes"],
    "performance.md": ["What people wait for"],
    "operators/update-segment.md": ["Add to what is there"],
}


def test_what_there_is_to_read_has_an_end():
    texts = {str(page.relative_to(DOCS)): page.read_text() for page in PAGES}
    newer = [
        re.search(rf"(?ms)^## {part}\n.*?(?=^## |\Z)", texts[page])[0] if part else texts[page]
        for page, parts in SINCE_THEN.items()
        for part in parts or [""]
    ]
    everything, new = (
        sum(len(text.split()) for text in part) for part in ([README.read_text(), *texts.values()], newer)
    )
    assert everything - new < 7_567, "say it in fewer words, or name what is explained for the first time in SINCE_THEN"


# Bases, and the sensor, whose page has another name.
WITHOUT_A_HEADING = {
    *("AudienceOperator", "DefinitionOperator", "FileOperator"),
    *("ManySegmentsOperator", "MoEngageOperator", "OneSegmentOperator"),
    *("CallbackOperator", "MoEngageSensor", "SharedListTrigger"),
    "SegmentExistsSensor",
}


def test_each_operator_and_each_example_has_its_page():
    classes = {
        node.name
        for folder in ("operators", "sensors", "triggers", "transfers")
        for file, tree in SOURCES.items()
        if file.parent.name == folder
        for node in tree.body
        if isinstance(node, ast.ClassDef) and re.search(r"^[A-Z].*(Operator|Sensor|Trigger)$", node.name)
    }
    headings = "\n".join(re.findall(r"(?m)^#+ .*", "\n".join(page.read_text() for page in PAGES)))
    assert classes
    assert {name for name in classes if name not in headings} == WITHOUT_A_HEADING
    included = {
        (page.parent / file).resolve()
        for page in PAGES
        for file in re.findall(r"literalinclude\} (\S+)", page.read_text())
    }
    assert {file for file in (REPOSITORY / "example_dags").iterdir() if file.is_file()} <= included


def test_the_parameters_of_a_page_are_those_of_the_docstring(built):
    page = (built / "operators" / "archive-segments.html").read_text()
    rows = re.findall(r"(?s)<tr.*?</tr>", page)
    (row,) = (re.sub(r"<[^>]+>|\s", "", row) for row in rows if "max_segments" in row)
    assert row.startswith("max_segmentshowmanydifferentsegments")
    assert row.endswith("Default:100.")


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_an_error_that_a_page_names_is_there(page):
    there = {node.name for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert set(re.findall(r"`(\w+Error)`", page.read_text())) <= there | set(vars(builtins))


def test_each_message_of_the_page_of_errors_is_in_the_code():
    texts = "\n".join(text for tree in SOURCES.values() for text in _texts_in(tree)) + EXAMPLES
    page = (DOCS / "errors.md").read_text().partition("\n## ")[2]
    messages = [message for line in re.findall(r"(?m)^(`.+)\n: \S", page) for message in re.findall(r"`([^`]+)`", line)]
    assert messages
    assert len(re.findall(r"(?m)^[`|]", page)) == len(re.findall(r"(?m)^: ", page)), "each with what to do about it"
    assert [
        message
        for message in messages
        if message not in NOT_OURS and not all(part.strip() in texts for part in re.split(r"\.\.\.|\*\*\*", message))
    ] == []


def _texts_in(tree):
    """What the code says, with an ellipsis where something is put in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)


def test_what_the_readme_links_to_is_there():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README.read_text())
    assert targets
    for target in targets:
        file, _, anchor = target.partition("#")
        assert (REPOSITORY / file).exists(), target
        headings = re.findall(r"(?m)^#+ (.*)", (REPOSITORY / file).read_text()) if anchor else []
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


def test_each_picture_is_shown_and_each_diagram_is_drawn_anew():
    pages = [README, *PAGES]
    shown = {
        (page.parent / name).resolve()
        for page in pages
        for name in re.findall(r"!\[[^]]+\]\((\S+)\)", page.read_text())
    }
    assert set((DOCS / "pictures").iterdir()) == shown
    signature = runpy.run_path(str(DOCS / "diagrams" / "draw.py"))["signature"]
    sources = list((DOCS / "diagrams").glob("*.dot"))
    assert sources
    for source in sources:
        picture = DOCS / "pictures" / f"{source.stem}.svg"
        assert picture.read_text().endswith(signature(source)), f"{source.name} has changed: make pictures"


class Links(HTMLParser):
    """The addresses in a page, and the places in it that an address can name."""

    def __init__(self, file):
        super().__init__()
        self.addresses: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        self.addresses += [of[name] for name in ("href", "src") if of.get(name)]
        self.places |= {of[name] for name in ("id", "name") if of.get(name)}


def test_every_link_within_the_pages_leads_somewhere(built):
    pages = {file.resolve(): Links(file) for file in built.rglob("*.html")}
    assert len(pages) > len(PAGES)
    broken = []
    for file, page in pages.items():
        for address in page.addresses:
            link = urlsplit(address)
            if link.scheme or link.netloc:
                continue
            target = (file.parent / unquote(link.path)).resolve() if link.path else file
            there = target.exists() and (
                not link.fragment or target not in pages or link.fragment in pages[target].places
            )
            if not there:
                broken.append(f"{file.relative_to(built.resolve())}: {address}")
    assert broken == []


def test_no_markup_is_shown_as_it_was_typed(built):
    """Nobody fails the build when a page has a directive that Sphinx does not take for one."""
    texts = {
        file.relative_to(built): re.sub(r"(?s)<(pre|code|script).*?</\1>|<[^>]+>", "", file.read_text())
        for file in built.rglob("*.html")
    }
    assert [name for name, text in texts.items() if re.search(r":::|```|\]\(|^\.\. ", text, re.MULTILINE)] == []


def test_nothing_is_fetched_from_elsewhere(built):
    """They are read where there is no network, too."""
    fetched = re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//[^"]+"',
        "".join(file.read_text() for file in built.rglob("*.html")),
    )
    assert fetched == []


@needs_a_browser
def test_the_search_works_from_a_file(built):
    sync_api = pytest.importorskip("playwright.sync_api")
    with chromium() as browser:
        page = browser.new_page()
        page.goto((built / "index.html").as_uri())
        page.get_by_role("textbox", name="Search").fill("visibility_timeout")
        page.get_by_role("textbox", name="Search").press("Enter")
        found = page.locator("#search-results li a").first
        sync_api.expect(found).to_have_text("Many workers, teams and partitions")
        found.click()
        sync_api.expect(page.locator("h1")).to_contain_text("Many workers")
