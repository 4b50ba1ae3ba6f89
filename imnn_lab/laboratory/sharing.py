"""What a visitor passes on: a link with the settings, a notebook, the results as one page."""

from __future__ import annotations

import io
from collections.abc import Callable

import panel as pn

from imnn_lab.dashboards.common.downloads import download
from imnn_lab.dashboards.common.layout import View, announced_html, stack, words
from imnn_lab.laboratory import link, take_along
from imnn_lab.laboratory.run_card import copy_button
from imnn_lab.laboratory.session import LaboratorySession

NOTHING = "Build a network first: then its settings, a notebook and its results can be passed on."
ABOUT = (
    "The link opens a new run with these settings. The notebook builds, trains and infers in the "
    "same way. The page of results is one file, which asks no server for anything. Unpacked, "
    'imnn.zip is loaded by IMNN.load("imnn").'
)
MARGIN = (4, 10)  # of downloads, so that they stand below the other button where a page is narrow


class ShareCard(View[LaboratorySession]):
    """Buttons for a link with the settings in use, a notebook, and the results as one page.

    Parameters
    ----------
    session : LaboratorySession

    Attributes
    ----------
    buttons : list
        For a row of the page.
    body : Viewable
        What is said of them.
    """

    def __init__(self, session: LaboratorySession) -> None:
        super().__init__()
        self._session = session
        self._query = pn.widgets.TextInput(value="")
        self.copy = copy_button("Copy link to this view", self._query, 185)
        self.downloads = [
            download(
                "imnn.ipynb", "Notebook", lambda: self._made(self._notebook),
                width=100, margin=MARGIN,
            ),
            download(
                "imnn.html", "Results (HTML)", lambda: self._made(self._page),
                width=140, margin=MARGIN,
            ),
        ]  # fmt: skip
        self._words = words()
        hidden = pn.Row(self._query, styles={"display": "none"}, margin=0)
        self.buttons = [self.copy, *self.downloads]
        self.body = stack(self._words, hidden)

    def refresh(self, moment: LaboratorySession) -> None:
        """Offer what there is."""
        built = moment.built
        is_there = built is not None and built.is_ready and bool(built.recipe)
        for button in self.downloads:
            button.disabled = not is_there
        can_be_linked = built is not None and "problem" in built.recipe
        self.copy.disabled = not can_be_linked
        if built is not None and can_be_linked:
            self._query.value = link.query_of(built.recipe, moment.training)
        text = announced_html(ABOUT if is_there else NOTHING)
        self._words.object = text + announced_html(self.failure, "alert")

    def _made(self, make: Callable[[], io.BytesIO]) -> io.BytesIO:
        made = [io.BytesIO()]
        self.attempt(lambda: made.append(make()))
        return made[-1]

    def _notebook(self) -> io.BytesIO:
        session = self._session
        assert session.built is not None
        chosen = {} if session.network is None else session.network.chosen
        history = session.built.imnn.history
        return take_along.notebook(session.built, history, session.inference, chosen)

    def _page(self) -> io.BytesIO:
        assert self._session.built is not None
        return take_along.results_page(self._session.built.title, self._session.results())
