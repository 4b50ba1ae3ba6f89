"""F with a bracket: what is true of the summaries is inside, whatever was found."""

import numpy as np
import pytest
from makers import gaussian_data, plain_imnn, small_network
from matplotlib.figure import Figure

from imnn_lab import IMNN, problems, sources
from imnn_lab.diagnostics import Light, SummarySet, fisher_estimates, honest_fisher
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.diagnostics import fisher as figures

PARAMETERS = np.eye(3)


def summary_set(x, slopes):
    return SummarySet(x, slopes, np.zeros(slopes.shape[1]), None)


def differences(summaries, θ, δθ, draws):
    """Return central differences of summaries(θ, draws) with the same draws on both sides."""
    steps = np.diag(δθ) / 2
    pairs = [(summaries(θ + step, draws), summaries(θ - step, draws)) for step in steps]
    return np.stack([(above - below) / w for (above, below), w in zip(pairs, δθ, strict=True)], 1)


# Problems whose summaries are sufficient: (rng, n_s) -> summaries, and the exact ln det F.


def mean_and_variance(rng, n):
    def summaries(θ, z):
        data = θ[0] + np.sqrt(θ[1]) * z
        return np.stack([data.mean(1), (data**2).mean(1)], 1)

    θ, z, other = np.array([0.0, 1.0]), rng.normal(size=(n, 10)), rng.normal(size=(n, 10))
    return summary_set(summaries(θ, z), differences(summaries, θ, [0.1, 0.1], other)), np.log(50)


def scale_of_exponential(rng, n):
    def summaries(θ, z):
        return θ * z.mean(1, keepdims=True)

    x, other = rng.exponential(size=(2, n, 10))
    slopes = differences(summaries, np.array([2.0]), [0.2], other)
    return summary_set(summaries(np.array([2.0]), x), slopes), np.log(2.5)


def mean_with_unmatched_seeds(rng, n):
    """Three means with correlations, and derivatives from differences of other seeds."""
    x = rng.normal(size=(n, 3))
    A = np.array([[1.0, 0.2, 0.1], [0.9, 0.5, 0.1], [0.3, 0.2, 0.8]])
    above, below = rng.normal(size=(2, n, 3, 3))
    return summary_set(x, A + (above - below) / 0.5), np.linalg.slogdet(A @ A.T)[1]


def heavy_tails(rng, n):
    """Summaries with Student's t of 7 degrees of freedom, whose covariance scatters more."""
    x = rng.standard_t(7, size=(n, 2)) / np.sqrt(7 / 5)
    slopes = np.eye(2) + 0.3 * rng.normal(size=(n, 2, 2))
    return summary_set(x, slopes), 0.0


def ten_parameters(rng, n):
    """Ten parameters with degeneracies, thirty simulations for the derivative."""
    A = np.eye(10) + np.outer(np.linspace(-1, 1, 10), np.linspace(0, 2, 10))
    slopes = A + 0.4 * rng.normal(size=(30, 10, 10))
    return summary_set(rng.normal(size=(n, 10)), slopes), np.linalg.slogdet(A @ A.T)[1]


PROBLEMS = [
    (mean_and_variance, 200), (scale_of_exponential, 2000), (mean_with_unmatched_seeds, 400),
    (heavy_tails, 500), (ten_parameters, 2000),
]  # fmt: skip


def naive_bracket(found):
    """The estimate of all simulations, and the scatter that Gaussian summaries have."""
    log_det = np.linalg.slogdet(found.standard)[1]
    sd = np.sqrt(2 * len(found.F) / found.n_s)
    return log_det - 2 * sd, log_det + 2 * sd


@pytest.mark.statistical
@pytest.mark.parametrize(("make", "n_s"), PROBLEMS)
def test_the_bracket_holds_what_is_true(make, n_s):
    inside = naive = 0
    for seed in range(100):
        summaries, true = make(np.random.default_rng(seed), n_s)
        found = honest_fisher(summaries, repetitions=200)
        low, high = found.log_det_bracket
        inside += low <= true <= high
        low, high = naive_bracket(found)
        naive += low <= true <= high
    # 95 % is promised; fewer than 90 of 100 has a probability of 1 %.
    assert inside >= 90
    if make in (mean_with_unmatched_seeds, ten_parameters):
        assert naive < 75, "the control: noise of the derivative is not in a naive bracket"


@pytest.mark.statistical
def test_few_false_alarms():
    """At most 5 % of 200 honest problems are called anything but green."""
    alarms = 0
    for seed in range(200):
        summaries, _ = mean_and_variance(np.random.default_rng(seed), 500)
        alarms += honest_fisher(summaries, repetitions=100).verdict.light is not Light.GREEN
    assert alarms <= 10


# The three problems of Coulton & Wandelt (2023), with their numbers of simulations ------------

k = np.logspace(-4, 0, 100)
TEMPLATES = np.stack([np.ones(100), k, np.sqrt(k)])
MEAN = TEMPLATES.sum(0)


def gaussian_mean(rng):
    """Unmatched seeds, n_d = 2,000, θ ± .05."""
    sd = 0.1 * np.sqrt(2) * MEAN
    x = MEAN + sd * rng.normal(size=(20_000, 100))
    noise = np.sqrt(2) * rng.normal(size=(2000, 3, 100))  # of the difference of two
    return summary_set(x, TEMPLATES + sd * noise / 0.1)


def gaussian_mean_and_covariance(rng):
    """Matched seeds, n_d = 300, θ ± .1; values and their squares are sufficient."""

    def summaries(θ, z):
        mean = θ @ TEMPLATES
        data = mean * (1 + np.sqrt(2) * z)
        return np.concatenate([data, data**2], 1)

    slopes = differences(summaries, np.ones(3), [0.2] * 3, rng.normal(size=(300, 100)))
    return summary_set(summaries(np.ones(3), rng.normal(size=(20_000, 100))), slopes)


def poisson(rng):
    """Unmatched seeds, n_d = 400,000, θ ± .05.

    Derivatives are drawn as means over 200 simulations, whose sum is Poisson as well.
    """
    x = rng.poisson(MEAN, size=(20_000, 100)).astype(float)

    def means(θ):
        return rng.poisson(200 * θ @ TEMPLATES, size=(2000, 100)) / 200

    pairs = [(means(1 + step), means(1 - step)) for step in 0.05 * PARAMETERS]
    return summary_set(x, np.stack([(above - below) / 0.1 for above, below in pairs], 1))


THREE = [
    (gaussian_mean, (0.026, 0.388, 0.273), 0.62, 0.1),
    (gaussian_mean_and_covariance, (0.115, 1.735, 1.219), 1.0, 0.05),
    (poisson, (0.172, 2.046, 1.584), 0.9, 0.1),
]


@pytest.mark.statistical
@pytest.mark.parametrize(("make", "true", "standard", "tolerance"), THREE)
def test_problems_of_coulton_and_wandelt(make, true, standard, tolerance):
    """Combined errors are right where standard ones are too small.

    Of F on average over eight sets; errors of single ones scatter by 15 % in the first problem.
    """
    sets = [fisher_estimates(make(np.random.default_rng(seed)))[:3] for seed in range(8)]
    of_standard, of_compressed, of_combined = (
        np.sqrt(np.diag(np.linalg.inv(F))) / true for F in np.mean(sets, axis=0)
    )
    np.testing.assert_allclose(of_combined, 1, atol=tolerance)
    assert of_standard.min() < standard
    assert (of_standard < of_combined).all()
    assert (of_combined < of_compressed).all()
    found = honest_fisher(make(np.random.default_rng(0)), repetitions=100)
    low, high = found.error_brackets.T
    assert (low < true).all()
    assert (np.array(true) < high).all()


# Reports --------------------------------------------------------------------------------------


def known_summaries(n, seed=1):
    return mean_and_variance(np.random.default_rng(seed), n)[0]


def test_words_numbers_and_what_more_simulations_would_say():
    found = honest_fisher(known_summaries(1000), labels=["mean", "variance"])
    assert found.verdict.light is Light.GREEN
    low, high = found.det_bracket
    assert low < found.det_F < high
    for words in (f"det F = {found.det_F:.3g}", "1,000 fiducial", "95 %", "mean: error 0.3"):
        assert words in str(found)
    more = honest_fisher(known_summaries(4000))
    expected = np.diff(np.log(found.extrapolated(4)))
    np.testing.assert_allclose(expected, np.diff(more.log_det_bracket), rtol=0.25)
    assert np.all(found.error_brackets[:, 0] < found.errors)
    assert np.all(found.errors < found.error_brackets[:, 1])
    assert honest_fisher(known_summaries(1000)).det_bracket == found.det_bracket


def test_few_simulations_are_told_of():
    noisy, _ = mean_with_unmatched_seeds(np.random.default_rng(1), 30)
    verdict = honest_fisher(noisy).verdict
    assert verdict.light is Light.RED
    assert verdict.remedy == (
        "Make more derivative simulations, with the same seed below and above."
    )
    found = honest_fisher(known_summaries(25))
    assert found.verdict.light is Light.AMBER
    assert "is known to a factor of" in found.verdict.words


@pytest.mark.parametrize(
    ("role", "light"),
    [("validation", Light.AMBER), ("cross-fitted", Light.AMBER), ("training", Light.RED)],
)
def test_what_was_chosen_on_the_simulations_is_said(role, light):
    verdict = honest_fisher(known_summaries(1000), role=role).verdict
    assert verdict.light is light
    assert "test=(fiducial, derivative)" in verdict.remedy


def test_too_few_and_no_summaries_are_refused():
    with pytest.raises(ValueError, match=r"at least 5 fiducial simulations\. Received 4"):
        honest_fisher(known_summaries(4))
    with pytest.raises(TypeError, match="`summaries` must be a SummarySet"):
        honest_fisher(np.ones((3, 2)))
    one = known_summaries(50)
    with pytest.raises(ValueError, match="must tell all parameters apart"):
        honest_fisher(summary_set(one.fiducial[:, :1], one.slopes[..., :1]))
    with pytest.raises(ValueError, match="2 different names"):
        honest_fisher(known_summaries(50), labels=["a", "a"])


def test_groups_of_simulations_give_what_single_ones_give(monkeypatch):
    summaries = heavy_tails(np.random.default_rng(1), 900)[0]
    single = honest_fisher(summaries)
    monkeypatch.setattr("imnn_lab.diagnostics.fisher.MOST_GROUPS", 120)
    grouped = honest_fisher(summaries)
    np.testing.assert_allclose(grouped.standard, single.standard)
    np.testing.assert_allclose(np.diag(grouped.noise), np.diag(single.noise), rtol=0.3)
    np.testing.assert_allclose(grouped.log_det_bracket, single.log_det_bracket, atol=0.1)


@pytest.mark.parametrize("n_summaries", [2, 5])
def test_the_fewest_fiducial_simulations(n_summaries):
    rng, n_s = np.random.default_rng(1), 2 * n_summaries + 4
    fiducial, noise = rng.normal(size=(n_s, n_summaries)), rng.normal(size=(6, 1, 1, n_summaries))
    steps = np.array([-0.05, 0.05])[:, None, None] * np.eye(n_summaries)
    θ_fid, δθ = np.zeros(n_summaries), np.full(n_summaries, 0.1)
    found = honest_fisher(SummarySet(fiducial, noise + steps, θ_fid, δθ), repetitions=100)
    assert found.error_brackets.shape == (n_summaries, 2)
    few = SummarySet(fiducial[1:], noise + steps, θ_fid, δθ)
    with pytest.raises(ValueError, match=f"at least {n_s} fiducial simulations. Received"):
        honest_fisher(few, repetitions=100)


def test_summaries_that_are_functions_of_one_another_are_refused():
    given = known_summaries(300)
    copies = [np.concatenate([x, x[..., :1] + 1], axis=-1) for x in (given.fiducial, given.slopes)]
    with pytest.raises(ValueError, match="`summaries` must not be functions of one another"):
        honest_fisher(summary_set(*copies))


def test_errors_lie_in_their_brackets_where_F_is_degenerate():
    """Two means that one summary all but confuses, from 30 simulations."""
    rng = np.random.default_rng(2)
    A = np.array([[1.0, 0.0], [1.0, 0.02]])
    for _ in range(5):
        slopes = A + 0.3 * rng.normal(size=(30, 2, 2))
        found = honest_fisher(summary_set(rng.normal(size=(30, 2)), slopes), repetitions=100)
        low, high = found.error_brackets.T
        assert ((low <= found.errors) & (found.errors <= high)).all()


def test_the_figure_is_drawn_on_paper_and_on_pages():
    described = figures.honest_fisher(honest_fisher(known_summaries(300)))
    (axes,) = draw(described, figure=Figure(layout="constrained")).axes
    assert [each.get_text() for each in axes.get_yticklabels()] == ["θ₁", "θ₂"]
    assert Drawing(described, "honest").figures


def test_it_tells_how_far_it_is_and_ends_where_the_reader_does_not_want_to_wait():
    shares, summaries = [], known_summaries(300)
    found = honest_fisher(summaries, repetitions=100, progress=shares.append)
    assert (shares[0], shares[-1]) == (0, 1)
    assert shares == sorted(shares)
    assert np.diff(shares).max() < 0.2
    np.testing.assert_array_equal(found.F, honest_fisher(summaries, repetitions=100).F)

    class Enough(Exception):
        pass

    told = []

    def stop(share):
        told.append(share)
        if len(told) > 3:
            raise Enough

    with pytest.raises(Enough):
        honest_fisher(summaries, repetitions=100, progress=stop)
    assert told == shares[:4], "nothing is done after it"
    with pytest.raises(TypeError, match="progress"):
        honest_fisher(summaries, progress=3)


# Networks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imnn():
    return plain_imnn()


TEST_SET = problems.gaussian().training_set(n_s=500, n_d=400, seed=11)


def test_of_a_network(imnn):
    given = imnn.honest_fisher(TEST_SET, labels=["a", "b"])
    assert (given.n_s, given.n_d, given.role, given.labels) == (500, 400, "test", ("a", "b"))
    np.testing.assert_allclose(given.standard, imnn.evaluate(*TEST_SET).F_hartlap, rtol=1e-5)
    assert imnn.honest_fisher().role == "validation"
    alone = plain_imnn(validation_fiducial=None, validation_derivative=None)
    assert alone.honest_fisher().role == alone.honest_fisher(cross_fit=True).role == "training"


def test_of_a_network_with_external_summaries():
    data = gaussian_data()
    known = tuple(np.stack([x.mean(-1), (x**2).mean(-1)], -1) for x in data)
    imnn = plain_imnn(external=known)
    low, high = imnn.honest_fisher(cross_fit=True).log_det_bracket
    assert low < imnn.statistics.without_network.log_det_F < high


def test_a_set_that_was_trained_on_is_found_out(monkeypatch):
    """A network that took its training set for validation, past the refusal of doing so."""
    monkeypatch.setattr(sources, "refuse_shared", lambda *given: None)
    problem = problems.gaussian()
    data = problem.training_set(n_s=100, n_d=100, seed=1)
    imnn = IMNN(
        100, 100, 2, 2, problem.θ_fid, problem.δθ, (10,), *data, *data,
        model=small_network(), verbose=False, seed=3,
    )  # fmt: skip
    imnn.fit(60)
    claimed = imnn.honest_fisher()
    assert claimed.det_bracket[0] > 70, "the control: the exact det F is 50"
    assert imnn.honest_fisher(test=TEST_SET).det_bracket[1] < 60
    assert imnn.honest_fisher(cross_fit=True).det_bracket[1] < claimed.det_bracket[0]


@pytest.mark.parametrize("role", ["training", "validation"])
def test_simulations_that_took_part_are_no_test(imnn, role):
    data = gaussian_data()
    known = data[:2] if role == "training" else data[2:]
    for method in (imnn.honest_fisher, imnn.report):
        with pytest.raises(ValueError, match="`test_fiducial` must hold no simulation of"):
            method(test=known)
    mixed = np.concatenate([TEST_SET[0][:400], known[0][:100]]), TEST_SET[1]
    with pytest.raises(ValueError, match="seed 400 is seed 0 of"):
        imnn.honest_fisher(mixed)
    assert imnn.evaluate(*known).n_s == len(known[0])  # which is no test


def test_what_cannot_be_cross_fitted_or_tested_is_refused(imnn):
    with pytest.raises(ValueError, match="`test` must be"):
        imnn.honest_fisher(TEST_SET[:1])
    few = tuple(x[:7] for x in TEST_SET)
    with pytest.raises(ValueError, match="fewer than 8 simulations"):
        imnn.honest_fisher(few, cross_fit=True)
