"""The tutorials as they are stored: in order, without outputs, with links that lead somewhere."""

import re
import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.ipynb"))
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = METADATA["project"]["urls"]["Repository"]

each_tutorial = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)


def number(name):
    return int(name.split("_")[0])


def read(path):
    return nbformat.read(path, as_version=4)


def words(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def links(text):
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)


def binder(repository, name):
    """Return where Binder opens a tutorial of a repository."""
    address = urlsplit(repository)
    place = f"gh{address.path}"
    if address.netloc != "github.com":
        place = f"git/{quote(repository, safe='')}"
    return f"https://mybinder.org/v2/{place}/HEAD?urlpath=lab/tree/tutorials/{name}"


def test_tutorials_are_numbered_without_gaps():
    assert [number(path.name) for path in TUTORIALS] == list(range(1, len(TUTORIALS) + 1))
    assert TUTORIALS


@each_tutorial
def test_a_tutorial_is_stored_as_nbformat_writes_it(path):
    text = path.read_text(encoding="utf-8")
    notebook = read(path)
    nbformat.validate(notebook)
    assert text == nbformat.writes(notebook) + "\n"
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"


@each_tutorial
def test_a_tutorial_holds_no_outputs(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


@each_tutorial
def test_the_first_cell_says_what_one_learns_and_where_to_run_it(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert re.match(rf"# {number(path.name)} · \w", first.source)
    assert "You will learn" in first.source
    to_binder = [link for link in links(first.source) if "mybinder" in link]
    assert to_binder == [binder(REPOSITORY, path.name)]


@each_tutorial
def test_links_lead_to_files_and_pictures_come_from_nowhere_else(path):
    text = words(read(path))
    relative = {link for link in links(text) if not urlsplit(link).scheme}
    missing = {link for link in relative if not (path.parent / link.split("#")[0]).exists()}
    assert missing <= to_come(path)
    assert re.findall(r"!\[|<img|<script|<iframe", text) == []


def to_come(path):
    """Return the tutorials that are linked, and follow those that there are."""
    found = links(words(read(path)))
    return {link for link in found if re.match(r"\d\d_", link) and number(link) > len(TUTORIALS)}


@each_tutorial
def test_a_tutorial_ends_with_what_to_try_and_with_the_next_one(path):
    last = read(path).cells[-1]
    assert last.source.startswith("## What to try next")
    following = [other.name for other in TUTORIALS if number(other.name) == number(path.name) + 1]
    assert set(following) <= set(links(last.source))


def test_the_readme_lists_every_tutorial_and_links_to_the_repository_alone():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = [link for link in links(text) if link.startswith("tutorials/")]
    assert listed == [f"tutorials/{path.name}" for path in TUTORIALS]
    to_binder = [link for link in links(text) if "mybinder" in link]
    pages = [binder(REPOSITORY, path.name) for path in TUTORIALS]
    served = binder(REPOSITORY, "").split("?")[0]
    assert to_binder == [*pages, f"{served}?urlpath=panel-preview/render/imnn_lab/app.py"]
    relative = {link for link in links(text) if not urlsplit(link).scheme}
    assert [link for link in relative if not (ROOT / link).exists()] == []


def test_binder_is_asked_for_repositories_elsewhere_in_its_general_form():
    link = binder("https://example.org/group/project", "01_a.ipynb")
    assert "/v2/git/https%3A%2F%2Fexample.org%2Fgroup%2Fproject/HEAD?" in link
