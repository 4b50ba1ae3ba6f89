"""Tabs: their contents are made when they are shown, and refreshed only while they are."""

import pytest
from dashboards import visitor
from dashboards.serving import ROOT
from playwright.sync_api import expect

from imnn_lab.dashboards.common.layout import View, words
from imnn_lab.dashboards.common.tabs import Tab, Tabs


class Counting(View):
    def __init__(self, name, made):
        super().__init__()
        made.append(name)
        self.body, self.seen = words(name), []

    def refresh(self, moment):
        self.seen.append(moment)


@pytest.fixture
def tabs():
    made = []
    tabs = Tabs([Tab(name, lambda name=name: Counting(name, made), str) for name in ("a", "b")])
    tabs.made_so_far = made
    return tabs


def test_contents_are_made_when_first_shown_and_kept(tabs):
    assert tabs.made_so_far == ["a"]
    assert tabs.made("b") is None
    tabs.show("b")
    tabs.show("a")
    tabs.show("b")
    assert tabs.made_so_far == ["a", "b"]


def test_only_what_is_shown_is_refreshed_and_at_once_when_it_is_shown(tabs):
    tabs.refresh("one")
    tabs.show("b")
    assert tabs.made("b").seen == ["one"], "without waiting for the next moment"
    tabs.refresh("two")
    assert (tabs.made("a").seen, tabs.made("b").seen) == (["one"], ["one", "two"])
    assert list(tabs._row.options) == ["a\ntwo", "b\ntwo"]


def test_tabs_are_tabs_for_keys_and_screen_readers(watched_page, serve):
    place = str(ROOT / "tests" / "dashboards" / "page_tabs.py")
    command = ["panel", "serve", place, "--port", "PORT", "--address", "127.0.0.1"]
    page = watched_page()
    page.goto(serve(command, "/page_tabs") + "/page_tabs")
    expect(page.get_by_role("tablist")).to_have_count(1)
    first, second, third = (
        page.get_by_role("tab", name=name) for name in ("Curves", "Ellipse", "Regulariser")
    )
    expect(page.get_by_role("tab", name="Curves waits", selected=True)).to_be_visible()
    first.focus()
    first.press("ArrowRight")
    expect(second).to_have_attribute("aria-selected", "true")
    expect(second).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Ellipse")).to_be_visible()
    second.press("Home")
    first.press("ArrowLeft")
    expect(third).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_have_count(1)
    expect(page.locator(".bk-Figure:visible")).to_have_count(1)
    visitor.fill(page, "word", "runs")
    third.focus()
    expect(page.get_by_role("tab", name="Regulariser runs", selected=True)).to_be_visible()
    first.click()
    expect(page.get_by_role("tabpanel", name="Curves")).to_be_visible()
    stops = page.get_by_role("tab").evaluate_all("tabs => tabs.map(tab => tab.tabIndex)")
    assert stops == [0, -1, -1]
