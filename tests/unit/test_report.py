"""A report: its words, its files, and the page that needs no other."""

import re

import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import cli, problems
from imnn_lab.archive import archive
from imnn_lab.diagnostics import Light, SummarySet, Verdict
from imnn_lab.figures.data import Curve, Panel, Panels
from imnn_lab.inference import Draws, Uniform
from imnn_lab.inference.prior_adapters import as_prior
from imnn_lab.report import Answer, Report, about_posteriors, about_training

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


PROBLEM = problems.gaussian()


def known(data):
    return np.stack([data.mean(-1), (data**2).mean(-1)], -1)


def lights(report):
    return {answer.question: answer.verdict.light for answer in report.answers}


def test_on_summaries_whose_information_is_known():
    simulations = PROBLEM.training_set(n_s=1000, n_d=1000, seed=1)
    summaries = SummarySet(*map(known, simulations), PROBLEM.θ_fid, PROBLEM.δθ)
    report = about_training(summaries, labels=PROBLEM.labels, known_fisher=PROBLEM.F)
    found = lights(report)
    assert found.pop("How much information is there?") is Light.GREEN
    assert found.pop("Is the derivative of the mean right?") is Light.GREEN
    assert found.pop("How much information is lost?") is Light.GREEN
    assert "det F = " in report.sentence
    assert "1,000 fiducial and 1,000 derivative simulations" in report.sentence
    assert all(answer.figure is not None for answer in report.answers)


def test_it_tells_how_far_it_is_and_ends_between_checks():
    simulations = PROBLEM.training_set(n_s=100, n_d=100, seed=1)
    summaries = SummarySet(*map(known, simulations), PROBLEM.θ_fid, PROBLEM.δθ)
    shares = []
    n = len(about_training(summaries, progress=shares.append).answers)
    np.testing.assert_allclose(shares, np.arange(n + 1) / n)

    def enough(share):
        if share > 0.3:
            raise ValueError("enough")  # not taken for what a check raises

    with pytest.raises(ValueError, match="enough"):
        about_training(summaries, progress=enough)
    with pytest.raises(TypeError, match="`progress` must"):
        about_training(summaries, progress=3)
    with pytest.raises(ValueError, match="enough"):
        plain_imnn().report(progress=enough)


def test_one_summary_of_one_parameter():
    x = np.random.default_rng(1).normal(size=(100, 1))
    derivative = x[:, None, None] + np.array([-0.05, 0.05])[:, None, None]
    summaries = SummarySet(x, derivative, np.zeros(1), np.array([0.1]))
    report = about_training(summaries, labels=["μ"])
    assert "compressed the data to 1 summary." in str(report)
    with pytest.raises(ValueError, match=r"`known_fisher` must be a Fisher .* shape \(1, 1\)"):
        about_training(summaries, known_fisher=np.eye(2))
    with pytest.raises(TypeError, match="`known_fisher` must"):
        about_training(summaries, known_fisher="yes")


def test_unmatched_seeds_are_named():
    fiducial, derivative = PROBLEM.training_set(n_s=300, n_d=300, seed=1)
    derivative[:, 1] = derivative[np.roll(np.arange(300), 1), 1]
    summaries = SummarySet(known(fiducial), known(derivative), PROBLEM.θ_fid, PROBLEM.δθ)
    report = about_training(summaries)
    assert lights(report)["Is the derivative of the mean right?"] is Light.RED
    assert report.light is Light.RED


def test_what_cannot_be_checked_is_not_known():
    fiducial, derivative = map(known, PROBLEM.training_set(n_s=300, n_d=3, seed=1))
    report = about_training(SummarySet(fiducial, derivative, PROBLEM.θ_fid, PROBLEM.δθ))
    assert lights(report)["Is the derivative of the mean right?"] is Light.GREY


def test_a_saved_network_is_checked_from_the_command_line(tmp_path, capsys, monkeypatch):
    imnn = plain_imnn()
    own = imnn.report()
    imnn.save(tmp_path / "saved")
    page = tmp_path / "report.html"
    status = cli.main(["check", str(tmp_path / "saved"), "--output", str(page)])
    assert status == int(own.light is Light.RED)
    printed = capsys.readouterr().out
    assert all(answer.question in printed for answer in own.answers)
    assert page.read_text(encoding="utf-8").count("<h2>") == len(own.answers)
    monkeypatch.setattr(archive, "MOST_BYTES", 0)
    imnn.save(tmp_path / "without")
    for place in ("without", "nowhere"):
        assert cli.main(["check", str(tmp_path / place)]) == 2
        assert "imnn-lab check: error: " in capsys.readouterr().err


@pytest.mark.parametrize(("width", "light"), [(1.0, Light.GREEN), (0.5, Light.RED)])
def test_on_posteriors_that_are_right_and_that_are_too_narrow(width, light):
    rng = np.random.default_rng(1)
    prior = as_prior(Uniform([-5.0], [5.0]), 1, ("a",))
    θ = prior.sample(2000, 1)
    estimates = θ + rng.normal(size=θ.shape)
    draws = Draws(θ, estimates, θ[:0])
    F = np.eye(1) / width**2
    first, _ = about_posteriors(draws, prior, F, ("a",)).answers
    assert first.verdict.light is light
