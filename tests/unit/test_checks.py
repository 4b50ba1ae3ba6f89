import numpy as np
import pytest

from imnn_lab import checks, problems
from imnn_lab.inference.arguments import as_labels
from imnn_lab.sources.checking import warn_of_wide_differences


@pytest.mark.parametrize("value", [3, np.int64(3), np.array(3)])
def test_integers_of_any_make_are_taken(value):
    assert checks.integer("n", value, 1) == 3


@pytest.mark.parametrize("value", [3.0, "3", None, True, [3]])
def test_non_integers_are_rejected(value):
    with pytest.raises(TypeError, match="`n` must be an integer"):
        checks.integer("n", value)


def test_the_first_bad_value_of_an_array_is_named():
    array = np.zeros((3, 4))
    array[1, 2] = np.nan
    with pytest.raises(
        ValueError, match=r"1 non-finite values, the first \(nan\) at index \(1, 2\)"
    ):
        checks.finite("fiducial", array)


def test_huge_finite_numbers_are_finite():
    array = np.full((3, 4), 1e308)
    assert checks.finite("fiducial", array) is array


OUTSIDE = ["../x", "a/b", "/x", "..", ".", "a\\b", "C:x", " ", "a\nb", "a\0b", "x" * 101]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_of_files_that_leave_their_directory_are_refused(name):
    with pytest.raises(ValueError, match="`filename` must be the name of a file, without a"):
        checks.file_name("filename", name)


@pytest.mark.parametrize("name", ["weights", "run 12:30.h5", ".hidden", "μ", "a..b", "x" * 100])
def test_names_of_files_are_taken(name):
    assert checks.file_name("filename", name) == name


@checks.greek_keywords
def steer(ε=0, λ=0):
    return ε, λ


def test_strings_of_greek_keywords_are_normalised():
    assert steer(**{"\u03f5": 1, "λ": 2}) == (1, 2)
    with pytest.raises(TypeError, match="two spellings"):
        steer(**{"\u03f5": 1, "ε": 2})


def test_errors_have_four_parts():
    message = checks.wording("`n`", "be positive", -1, "Count again.")
    assert message == "`n` must be positive. Received -1. Count again."


@pytest.mark.parametrize("value", [[[1, 2], [3]], ["a"], object(), np.array([1j])])
def test_arrays_of_anything_but_numbers_are_rejected(value):
    with pytest.raises(TypeError, match="must be an array of real numbers"):
        checks.real_array("data", value)


def test_unnamed_parameters_are_labelled_alike_everywhere():
    assert checks.default_labels(1) == ("θ",)
    assert checks.default_labels(3) == ("θ₁", "θ₂", "θ₃")
    assert checks.default_labels(12)[-1] == "θ₁₂"
    problem = problems.linear_gaussian(np.ones((4, 2)), np.eye(4), [0, 0], [0.1, 0.1])
    assert problem.labels == as_labels(None, 2) == checks.default_labels(2)


def test_a_warning_points_to_the_line_that_called_the_package():
    F, δθ = np.diag([1e4]), np.array([1.0])
    with pytest.warns(UserWarning, match="`δθ` of parameter 0") as caught:
        warn_of_wide_differences(F, δθ)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", [2**63, 10**30, 10**400, -(10**30)])
def test_integers_that_no_computer_counts_to_are_rejected(value):
    with pytest.raises(ValueError, match="`n` must be an integer of at most"):
        checks.integer("n", value)


@pytest.mark.parametrize("value", [-1, "seed", 0.5, [None], {}])
def test_what_is_no_seed_is_named(value):
    with pytest.raises(TypeError, match=r"`rng` must be a numpy\.random\.Generator, a seed"):
        checks.generator("rng", value)


def test_generators_and_seeds_are_taken():
    generator = np.random.default_rng(1)
    assert checks.generator("rng", generator) is generator
    assert checks.generator("rng", 1).random() == np.random.default_rng(1).random()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "x" * 5000])
def test_names_that_no_file_can_have_are_rejected(name):
    with pytest.raises(ValueError, match="`directory` must be a name that files can have"):
        checks.path("directory", name)


def test_names_of_files_and_directories_are_taken_whether_there_or_not(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "file" / "below", tmp_path / "new"):
        assert checks.path("directory", str(path)) == path


@pytest.mark.parametrize("value", ["ab", b"ab", {1, 2}, {"a": 1}, 3, None, np.array(2)])
def test_what_has_no_entries_in_an_order_is_rejected(value):
    with pytest.raises(TypeError, match="`hidden` must be a list of integers"):
        checks.integers("hidden", value, 1)


class Unwilling:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not today")


@pytest.mark.parametrize("value", [[[1, 2], [3]], Unwilling(), [10**400, "a"]])
def test_numbers_and_arrays_are_never_left_to_numpy(value):
    with pytest.raises(TypeError, match="`x` must be a finite number"):
        checks.number("x", value)
    with pytest.raises(TypeError, match="`x` must be an array of real numbers"):
        checks.real_array("x", value)
