"""A locked server that keeps its runs, restarted in the midst of one, in Chromium."""

import json

import nbformat
from dashboards import visitor
from dashboards.serving import column, free_port, launched, until
from dashboards.visitor import button
from playwright.sync_api import expect

COMMAND = ["imnn_lab.cli", "serve", "--port", "PORT", "--locked", "--problem", "slope",
           "--title", "A class"]  # fmt: skip
LINK = "/?problem=gaussian&n_s=300&n_d=300&lambda=5&iterations=10000000&seed=x"


def test_a_run_of_a_locked_server_goes_on_after_a_restart(watched_page, browser, tmp_path):
    command, port = [*COMMAND, "--runs", str(tmp_path / "runs")], free_port()
    page = watched_page(1280, 800)
    left_open = browser.new_page()  # whose browser tells of the server that it misses
    with launched(command, port=port) as (address, process):
        page.goto(address + LINK)
        expect(button(page, "Build the network")).to_be_enabled()
        assert page.title() == "A class"
        assert page.locator("input[type=file]").count() == 0
        expect(page.get_by_label("n_s, fiducial")).to_have_value("300")
        visitor.words(page, "seed must be a whole number")
        expect(page.get_by_label("problem", exact=True).locator("option")).to_have_count(1)
        visitor.build(page)
        expect(visitor.slider(page, "λ")).to_have_attribute("aria-valuetext", "0.70")  # log₁₀ 5
        visitor.tab(page, "Trust").click()
        button(page, "Check").click()
        visitor.words(page, "How much information is there?")
        visitor.tab(page, "Train").click()
        button(page, "Start").click()
        until(page, lambda: len(column(page, "det_F") or []) > 20)
        visitor.tab(page, "Results").click()
        assert page.locator("input[type=file]").count() == 0
        notebook = visitor.downloaded(page, "Notebook").read_text(encoding="utf-8")
        nbformat.validate(json.loads(notebook))
        assert "det F" in visitor.downloaded(page, "Results (HTML)").read_text(encoding="utf-8")
        query = until(page, lambda: page.url.partition("?run=")[2])
        left_open.goto(f"{address}/?run={query}")
        until(left_open, lambda: column(left_open, "det_F_iteration"))
        page.goto("about:blank")
        process.terminate()
        assert process.wait(60) == 0
    expect(left_open.get_by_role("alert")).to_contain_text("The connection to the server is lost")
    with launched(command, port=port) as (address, _):
        expect(left_open.get_by_text("The connection to the server is lost")).to_have_count(0)
        page.goto(f"{address}/?run={query}")
        found = until(page, lambda: column(page, "det_F_iteration"))
        assert found[0] == 0
        assert found[-1] > 20, "with its history"
        until(page, lambda: column(page, "det_F_iteration")[-1] > found[-1])
        until(left_open, lambda: (column(left_open, "det_F_iteration") or [0])[-1] > found[-1])
        left_open.close()
        assert page.url.endswith(query)
        expect(visitor.tab(page, "Trust")).to_contain_text("to be checked again")
        visitor.tab(page, "Trust").click()
        visitor.words(page, "How much information is there?")
        visitor.words(page, "What is shown has changed since these checks.")
        page.goto("about:blank")
