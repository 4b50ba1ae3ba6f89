"""The README is short, its commands stand where they must, and its Python and the guides' runs."""

import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = sorted(path for path in (ROOT / "docs" / "guides").glob("*.md") if path.stem != "index")


def run_python(path, names):
    """Run the Python blocks of a page in order, in one namespace; return how many there are."""
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(compile(block, path.name, "exec"), names)
    return len(blocks)


def test_the_readme_has_150_lines_at_most():
    assert len(README.splitlines()) <= 150


def test_two_commands_stand_at_the_top_on_lines_of_their_own():
    lines = README.splitlines()[:6]
    assert "python -m pip install . && imnn-lab demo" in lines
    assert 'python -m pip install -e ".[test]" && python -m pytest' in lines


def test_the_python_of_the_readme_runs():
    names = {}
    assert run_python(ROOT / "README.md", names) == 1
    assert names["imnn"].F.shape == (2, 2)
    assert names["ABC"].num_accepted[0] == 500


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_python_of_a_guide_runs(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a guide saves
    matplotlib.use("agg")
    names = {}
    n_blocks = run_python(path, names)
    assert n_blocks or path.stem == "troubleshooting"
    if path.stem == "training":
        assert names["run"].has_ended
        assert names["imnn"].F.shape == (2, 2)
        assert "stopped" in capsys.readouterr().out
    if path.stem == "inference":
        assert names["ABC"].num_accepted[0] == 500


def test_python_that_fails_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError):
        run_python(page, {})


def test_the_readme_lists_every_guide():
    linked = re.findall(r"\(docs/guides/(\w+)\.md\)", README)
    assert sorted(linked) == [path.stem for path in GUIDES]
    assert len(set(linked)) == len(GUIDES)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_of_guides_lead_to_files(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link.split("#")[0]).exists()] == []
