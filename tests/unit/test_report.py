"""A report: its words, its files, and the page that needs no other."""

import re

import numpy as np
import pytest

from imnn_lab.diagnostics import Light, Verdict
from imnn_lab.figures.data import Curve, Panel, Panels
from imnn_lab.report import Answer, Report

LINE = np.arange(3.0)
FIGURE = Panels((Panel(0, 0, "x", "y", (Curve(0, LINE, LINE),)),), ("a",))
GOOD = Answer("Is it right?", Verdict(Light.GREEN, "It is 3 < 4."), "a  1\nb  2", FIGURE)
BAD = Answer("Is it <b>whole</b>?", Verdict(Light.RED, "No.", "Do it again."))
REPORT = Report("On F & co", "From 10 simulations.", (GOOD, BAD))


@pytest.mark.parametrize(
    ("answers", "light"),
    [((GOOD,), Light.GREEN), ((GOOD, BAD), Light.RED), ((), Light.GREEN)],
)
def test_the_worst_light_is_that_of_the_report(answers, light):
    assert Report("", "", answers).light is light


def test_as_text_and_markdown():
    for text in (str(REPORT), REPORT.to_markdown()):
        assert [line for line in text.splitlines() if "Is it <b>whole</b>?" in line]
        assert "No. Do it again." in text
    assert "```text\na  1\nb  2\n```" in REPORT.to_markdown()


def test_as_a_page_alone(tmp_path):
    path = REPORT.save(tmp_path / "new" / "report.html")
    page = path.read_text(encoding="utf-8")
    assert "<h1>On F &amp; co</h1>" in page
    assert "<b>whole" not in page
    assert page.count("<img") == 1
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    for heading in re.findall("<h2>.*?</h2>", REPORT._repr_html_()):
        assert heading in page


def test_in_markdown_and_nothing_else(tmp_path):
    assert REPORT.save(tmp_path / "report.md").read_text(encoding="utf-8") == REPORT.to_markdown()
    with pytest.raises(ValueError, match=r"end in \.html or \.md"):
        REPORT.save(tmp_path / "report.pdf")
    assert len(list(tmp_path.iterdir())) == 1
