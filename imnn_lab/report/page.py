"""A report on how far results can be trusted: one page of questions, answers and figures."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path

from imnn_lab import checks, storage
from imnn_lab.diagnostics import Light, Verdict
from imnn_lab.diagnostics.verdict import worst
from imnn_lab.figures import Panels

MARKS = {Light.GREEN: "●", Light.AMBER: "▲", Light.RED: "■", Light.GREY: "○"}  # without colour too
COLOURS = {
    Light.GREEN: "#1a8f40", Light.AMBER: "#b07800", Light.RED: "#d64535", Light.GREY: "#79828c",
}  # fmt: skip
PAGE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
"""
STYLE = """
.imnn-report h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem; }
.imnn-report p { margin: .3rem 0; }
.imnn-report pre { overflow-x: auto; font-size: .85rem; }
.imnn-report img { max-width: 100%; background: white; padding: .5rem; border-radius: .3rem; }
.imnn-report blockquote { border-left: .2rem solid; margin: 1rem 0; padding-left: 1rem; }
"""


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes
    ----------
    question : str
    verdict : Verdict
    details : str
        Numbers as lines of text, of the same width; may be empty.
    figure : Panels, optional
    """

    question: str
    verdict: Verdict
    details: str = ""
    figure: Panels | None = None


@dataclass(frozen=True)
class Report:
    """One page on how far results can be trusted.

    A notebook shows it; ``print`` gives its text.

    Attributes
    ----------
    title : str
    sentence : str
        What a paper would say: numbers of simulations, network, det F, and the checks.
    answers : tuple of Answer
    """

    title: str
    sentence: str
    answers: tuple[Answer, ...]

    @property
    def light(self) -> Light:
        """The worst of all lights."""
        return worst(answer.verdict.light for answer in self.answers)

    def to_markdown(self) -> str:
        """Return the report as Markdown, without figures."""
        parts = [f"# {self.title}", f"> {self.sentence}"]
        for answer in self.answers:
            verdict = answer.verdict
            parts.append(f"## {MARKS[verdict.light]} {answer.question}")
            parts.append(f"**{verdict.light.value.capitalize()}.** {verdict}")
            parts += [f"```text\n{answer.details}\n```"] if answer.details else []
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """Return the report as one page of HTML that needs no other file."""
        head = f'<meta charset="utf-8"><title>{html.escape(self.title)}</title>'
        head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
        return (
            f'<!doctype html>\n<html lang="en"><head>{head}<style>{PAGE}</style></head>'
            f"<body>{self._repr_html_()}</body></html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the report to a file, ``.html`` or ``.md`` by its name.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If the name ends otherwise, or the file cannot be written.
        """
        path = checks.path("path", path)
        writers = {".html": self.to_html, ".md": self.to_markdown}
        if path.suffix not in writers:
            raise ValueError(checks.wording("`path`", "end in .html or .md", repr(path.name)))
        storage.check_writable(path.parent)
        with storage.aside(path) as place:
            place.write_text(writers[path.suffix](), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        parts = [f"<style>{STYLE}</style>", f"<h1>{html.escape(self.title)}</h1>"]
        parts.append(f"<blockquote>{html.escape(self.sentence)}</blockquote>")
        for answer in self.answers:
            verdict = answer.verdict
            parts.append(f"<h2>{light_html(verdict.light)} {html.escape(answer.question)}</h2>")
            words = html.escape(f"{verdict.light.value.capitalize()}.")
            parts.append(f"<p><b>{words}</b> {html.escape(str(verdict))}</p>")
            if answer.details:
                parts.append(f"<pre>{html.escape(answer.details)}</pre>")
            if answer.figure is not None:
                named = html.escape(answer.question, quote=True)
                parts.append(f'<img alt="{named}" src="{_picture(answer.figure)}">')
        return f'<div class="imnn-report">{"".join(parts)}</div>'

    def __str__(self) -> str:
        lines = [self.title, self.sentence, ""]
        for answer in self.answers:
            verdict = answer.verdict
            lines.append(f"{MARKS[verdict.light]} {answer.question} {verdict.light.value}")
            lines += [f"    {verdict}"]
        return "\n".join(lines)


def light_html(light: Light) -> str:
    """Return the mark of a light as HTML; its meaning stands beside it in words."""
    return f'<span style="color: {COLOURS[light]}" aria-hidden="true">{MARKS[light]}</span>'


def _picture(figure: Panels) -> str:
    from imnn_lab.figures.matplotlib import draw

    content = io.BytesIO()
    draw(figure).savefig(content, format="svg", bbox_inches="tight")
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()
