"""Rules that hold for every source file."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "imnn_lab").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


def unstable(text):
    return {c for c in text if c.isalpha() and unicodedata.normalize("NFKC", c) != c}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers_hold_only_letters_that_python_keeps(path):
    import tokenize

    with tokenize.open(path) as file:
        names = {
            t.string for t in tokenize.generate_tokens(file.readline) if t.type == tokenize.NAME
        }
    assert not unstable("".join(names))


def test_the_control_is_noticed():
    assert unstable("λ\u03f5") == {"\u03f5"}


@pytest.mark.parametrize(
    "module", ["imnn_lab", "imnn_lab.cli", "imnn_lab.problems", "imnn_lab.campaign"]
)
def test_light_modules_load_nothing_heavy(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('tensorflow', 'keras', 'panel', 'bokeh', 'matplotlib') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_load():
    import imnn_lab

    for name in imnn_lab.__all__:
        assert getattr(imnn_lab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        imnn_lab.nothing  # noqa: B018
