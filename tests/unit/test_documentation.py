"""Every public name and every argument of it is documented, and the examples run."""

import ast
import dataclasses
import doctest
import enum
import inspect
import pkgutil
import pydoc
import re
import subprocess
import sys
import textwrap
import zlib
from functools import cached_property
from pathlib import Path

import docstring_parser
import numpy as np
import pytest
from public_names import overridden, public_members, public_objects

import imnn_lab

ROOT = Path(__file__).parents[2]
OBJECTS = public_objects()
CLASSES = {name: one for name, one in OBJECTS.items() if inspect.isclass(one)}
MEMBERS = {
    f"{name}.{member}": (cls, member, value)
    for name, cls in CLASSES.items()
    for member, value in public_members(cls).items()
}
WITH_EXAMPLES = {name: one for name, one in OBJECTS.items() if ">>>" in (one.__doc__ or "")}
GIVING = ("Return", "Yield", "Draw", "Make", "Read")
ARRAY = re.compile(r"shape|\(n\w*,|\(\w+, \w+\)")
REFERENCE = re.compile(r"(As for|See) `")


def missing(signed, docstrings):
    """Return what the docstrings of a class, a function or a property leave out."""
    if not docstrings:
        return ["docstring"]
    parsed = [
        docstring_parser.parse(text, style=docstring_parser.DocstringStyle.NUMPYDOC)
        for text in docstrings
    ]
    if isinstance(signed, property | cached_property):
        function = signed.fget if isinstance(signed, property) else signed.func
        return [*_unsaid_result(function, parsed, True), *_unsaid_errors(function, parsed)]
    if inspect.isclass(signed) and issubclass(signed, Exception | enum.Enum):
        return []
    complaints = _undocumented(signed, parsed)
    if inspect.isclass(signed):
        name = "__post_init__" if dataclasses.is_dataclass(signed) else "__init__"
        code = vars(signed).get(name)
        return complaints + (_unsaid_errors(code, parsed) if code else [])
    return complaints + _unsaid_result(signed, parsed) + _unsaid_errors(signed, parsed)


def _undocumented(signed, parsed):
    described = {}
    for parameter in (one for docstring in parsed for one in docstring.params):
        for name in parameter.arg_name.split(", "):
            described.setdefault(name.strip(), parameter)
    complaints, taken = [], inspect.signature(signed).parameters
    for name, argument in taken.items():
        stars = {argument.VAR_KEYWORD: "**", argument.VAR_POSITIONAL: "*"}.get(argument.kind, "")
        one = described.get(stars + name)
        if name in ("self", "cls"):
            continue
        words = "" if one is None else one.description or ""
        refers = bool(REFERENCE.match(words))
        if not words:
            complaints.append(f"argument {stars}{name}")
        elif not (stars or refers or one.type_name):
            complaints.append(f"type of {name}")
        elif _is_array(argument.annotation) and not (
            refers or ARRAY.search(f"{one.type_name} {words}")
        ):
            complaints.append(f"shape of {name}")
    stale = {name for name, one in described.items() if one.args[0] == "param"}
    return complaints + [f"no {name}" for name in stale if name.lstrip("*") not in taken]


def _unsaid_result(function, parsed, is_property=False):
    annotation = str(inspect.signature(function).return_annotation)
    if annotation in ("None", "NoReturn"):
        return []
    words = " ".join(one.short_description or "" for one in parsed)
    sections = [result for one in parsed for result in one.many_returns]
    text = " ".join([words, *(f"{r.return_name} {r.type_name} {r.description}" for r in sections)])
    if not (is_property or sections or words.startswith(GIVING)):
        return ["what is returned"]
    unshaped = _is_array(annotation) and not ARRAY.search(text)
    return ["shape of the result"] if unshaped else []


def _is_array(annotation):
    return "ndarray" in re.sub(r"(dict|Mapping|Callable)\[.*", "", str(annotation))


def _unsaid_errors(function, parsed):
    said = " ".join(one.type_name or "" for docstring in parsed for one in docstring.raises)
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = {one.func.id for one in raised if isinstance(one, ast.Call)}
    return [f"error {name}" for name in sorted(names) if name not in said]


@pytest.mark.parametrize("name", OBJECTS)
def test_public_classes_and_functions_are_documented(name):
    one = OBJECTS[name]
    assert missing(one, [inspect.getdoc(one)] if one.__doc__ else []) == []


@pytest.mark.parametrize("name", MEMBERS)
def test_their_methods_and_properties_are_documented(name):
    cls, member, value = MEMBERS[name]
    assert missing(value, overridden(cls, member)) == []


def test_undocumented_arguments_and_errors_are_noticed():
    def badly(a, b: np.ndarray, c, d) -> np.ndarray:
        """Do something.

        Parameters
        ----------
        b : array
            Values.
        c
            Another.
        d : int
        e : int
            Not there.
        """
        raise ValueError("always")

    assert missing(badly, [inspect.getdoc(badly)]) == [
        "argument a", "shape of b", "type of c", "argument d", "no e", "what is returned",
        "error ValueError",
    ]  # fmt: skip


def run_examples(one, name, names):
    """Run the examples of a docstring in a namespace; return how many there were."""
    (test,) = doctest.DocTestFinder(recurse=False).find(one, name, module=False, globs=names)
    runner, report = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), []
    failed, attempted = runner.run(test, out=report.append, clear_globs=False)
    names |= test.globs
    assert not failed, "".join(report)
    return attempted


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_those_of_methods_after_their_class(name):
    one, names = WITH_EXAMPLES[name], {}
    assert run_examples(one, name, names)
    for member, value in public_members(one).items() if inspect.isclass(one) else ():
        run_examples(value, member, names)


def test_a_wrong_example_is_noticed():
    def wrong():
        """Return 2.

        >>> 1 + 1
        3
        """

    with pytest.raises(AssertionError, match="Got"):
        run_examples(wrong, "wrong", {})


@pytest.mark.parametrize("name", [*imnn_lab.__all__])
def test_public_names_have_an_example(name):
    one = getattr(imnn_lab, name)
    own = [n for n in WITH_EXAMPLES if n.startswith(getattr(one, "__name__", "-") + ".")]
    assert own or name in ("__version__", "Run", "dashboards") or ">>>" in one.__doc__


def test_pydoc_says_what_there_is_and_where_to_begin():
    text = pydoc.render_doc(imnn_lab, renderer=pydoc.plaintext)
    beginning = text[: text.index("PACKAGE CONTENTS")]
    assert "Begin with" in beginning
    for name in imnn_lab.__all__:
        assert name == "__version__" or f"- `{name}`: " in beginning


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imnn_lab.IMNN", ["fit(", "λ: 'float' = 10.0", "n_s : int", "get_estimate(self, data"]),
        ("imnn_lab.IMNN.fit", ["patience : int, optional", "Raises"]),
        ("imnn_lab.LFI", ["GaussianApproximation", "accept_reject(", "resume("]),
        ("imnn_lab.campaign", ["training_set(", "executor : concurrent.futures.Executor"]),
        ("imnn_lab.networks", ["convolutional(", "deep_set(", "dense("]),
        ("imnn_lab.inference", ["class Uniform", "class Posterior", "population_monte_carlo("]),
        ("imnn_lab.problems", ["gaussian(", "nile_flow()"]),
    ],
)
def test_pydoc_renders(name, words):
    text = pydoc.render_doc(name, renderer=pydoc.plaintext)
    assert [word for word in words if word not in text] == []


def build_documentation(directory):
    """Build all pages, tutorials as they are stored, with warnings as errors."""
    options = ["-W", "--keep-going", "-q", "-D", "nb_execution_mode=off", "-d", directory / "trees"]
    pages = directory / "pages"
    command = [sys.executable, "-m", "sphinx", *options, ROOT / "docs", pages]
    built = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    assert built.returncode == 0, built.stderr
    return pages


def inventory(pages):
    """Return the Python names that have an entry in the reference."""
    *_, packed = (pages / "objects.inv").read_bytes().split(b"\n", maxsplit=4)
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split(" ")[0] for line in lines if line.split(" ")[1].startswith("py:")}


def without_entry(names):
    """Return the public classes, functions and members that have no entry in the reference."""
    entries = {}
    for name in names:
        entries.setdefault(id(pkgutil.resolve_name(name)), []).append(name)
    absent = [name for name, one in OBJECTS.items() if id(one) not in entries]
    for name, cls in CLASSES.items():
        absent += [
            f"{name}.{member}"
            for member in public_members(cls)
            if names.isdisjoint(f"{entry}.{member}" for entry in entries.get(id(cls), []))
        ]
    return absent


def test_the_reference_has_every_public_name_and_asks_nothing_of_other_hosts(tmp_path):
    directory = build_documentation(tmp_path)
    names = inventory(directory)
    assert without_entry(names) == []
    assert without_entry(names - {"imnn_lab.IMNN.fit"}) == ["imnn_lab.imnn.IMNN.fit"]
    assert {"imnn_lab.IMNN.θ_fid", "imnn_lab.IMNN.δθ", "imnn_lab.Regularisation.α"} <= names
    pages = {page.relative_to(directory): page.read_text() for page in directory.rglob("*.html")}
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*https?:|<link[^>]*(?:stylesheet|icon|preload)[^>]*https?:"
        r"|@import|url\(\W?https?:"
    )
    assert loaded.search('<link rel="stylesheet" href="https://elsewhere/style.css">')
    assert [name for name, page in pages.items() if loaded.search(page)] == []
    tutorials = {path.stem for path in (ROOT / "tutorials").glob("*.ipynb")}
    assert tutorials == {name.stem for name in pages if name.parent.name == "tutorials"}


NAMED = re.compile(r"`([\w./]+)`")


def not_there(text):
    """Return the paths and ``module.function`` of a text that do not exist."""
    names = [name for name in NAMED.findall(text) if "." in name or "/" in name]
    return [name for name in names if not _is_there(name)]


def _is_there(name):
    if "/" in name or name.endswith((".py", ".toml")):
        return (ROOT / name).exists() or (ROOT / "imnn_lab" / name).exists()
    try:
        return pkgutil.resolve_name(f"imnn_lab.{name}") is not None
    except (AttributeError, ImportError):
        return False


def test_what_the_architecture_names_exists():
    assert not_there((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")) == []


def test_what_does_not_exist_is_noticed():
    text = (
        "`loss.nothing` follows `loss.loss_and_information` in `imnn_lab/los.py`, not in `loss.py`."
    )
    assert not_there(text) == ["loss.nothing", "imnn_lab/los.py"]
