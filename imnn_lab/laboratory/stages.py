"""The stages of the served page: choose a problem or send own data, train, infer, results."""

from __future__ import annotations

import functools
import html
import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn

from imnn_lab import checks
from imnn_lab.dashboards.common.background import Work
from imnn_lab.dashboards.common.layout import (
    FRAMED,
    HINT,
    WIDE,
    LiveText,
    Select,
    View,
    action_button,
    announced_html,
    card,
    scrolling,
    side_by_side,
    stack,
    words,
)
from imnn_lab.dashboards.inference.dashboard import InferenceDashboard, InferencePage
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.dashboards.results.dashboard import ResultsPage
from imnn_lab.dashboards.results.files import Results, results_of
from imnn_lab.dashboards.training.candidates import candidates_html
from imnn_lab.dashboards.training.dashboard import TrainingDashboard, TrainingPage
from imnn_lab.demo.problems import CASES
from imnn_lab.laboratory import link, stored
from imnn_lab.laboratory.build import (
    MOST_SEED,
    MOST_SIMULATIONS,
    NETWORKS,
    SCRATCH_RATE,
    Built,
    OwnData,
    Sizes,
    build_from_data,
    build_problem,
    check_data,
)
from imnn_lab.laboratory.example import ITERATIONS, NOTICE
from imnn_lab.laboratory.offer import size_words
from imnn_lab.laboratory.sending import FileSender
from imnn_lab.laboratory.session import TRAINED_SINCE, LaboratorySession
from imnn_lab.laboratory.sharing import ShareCard
from imnn_lab.laboratory.uploads import names, numbers, read_upload

TO_BUILD = "Choose a problem, or send own simulations, in Problem."
NOTHING_TRAINED = f"The network trains here: det F, det C and the regulariser. {TO_BUILD}"
NOTHING_TO_TRUST = f"How far the results can be trusted is answered here. {TO_BUILD}"
INFER = "Infer with this network"
INFER_AGAIN = f"Press {INFER} for the new one."
NOTHING_INFERRED = f"The posterior of data comes here: contours, draws, particles. {TO_BUILD}"


class ProblemCard(View[LaboratorySession]):
    """Choices that lead to a network, and the buttons that build it."""

    def __init__(self, session: LaboratorySession) -> None:
        super().__init__()
        self._session = session
        offer = session.offer
        options = {f"{name}: {CASES[name].words}": name for name in offer.problems}
        self.problem = Select(label="problem", options=options, **WIDE)
        self.network = Select(label="network", options=list(NETWORKS), **WIDE)
        count = {"start": 10, "end": MOST_SIMULATIONS, "step": 100, "width": 140}
        self.n_s = pn.widgets.IntInput(label="n_s, fiducial", value=1000, **count)
        self.n_d = pn.widgets.IntInput(label="n_d, derivative", value=1000, **count)
        self.seed = pn.widgets.IntInput(label="seed", value=0, start=0, end=MOST_SEED, width=140)
        self.build = action_button(
            "Build the network", lambda: self.attempt(self._from_problem), 170
        )
        self.files = FileSender(session.sent, "files")
        sets = () if offer.data is None else stored.offered(offer.data)
        options = {"the files above": ""} | {name: name for name in sets}
        self.stored = Select(label="simulations", options=options, **WIDE)
        self.stored.param.watch(lambda _: self._look(), "value")
        self._looking, self._found = Work("looking at simulations"), words()
        self.θ_fid = _text_box("θ_fid", "0, 1")
        self.δθ = _text_box("δθ, full width", "0.1, 0.1")
        self.names = _text_box("names", "μ, Σ (optional)")
        self.build_own = action_button(
            "Build from own data", lambda: self.attempt(self._from_data), 170, "outline"
        )
        self._status, self._candidates = words(), words()
        self.body = self._cards(offer.is_locked)
        link.choose(self, session.wanted)
        self._show_recipe(session.built)

    def refresh(self, moment: LaboratorySession) -> None:
        """Show the progress of the build."""
        work, position = moment.building, moment.position
        self.build.disabled = self.build_own.disabled = work.is_running
        failure = self.failure or (work.message if work.state == "failed" else "")
        state = {
            "idle": "Choose, and build a network; nothing runs before you ask for it.",
            "running": "Simulating, and preparing the network …",
            "finished": f"{work.message}.",
        }.get(work.state, "")
        if work.is_running and 0 < moment.looked_at < 1:
            state = f"Looking through the simulations: {100 * moment.looked_at:.0f} % …"
        if position:
            state = f"This server is busy: you are number {position} in the queue."
        self._status.object = announced_html(state) + announced_html(failure, "alert")
        text = self._looking.message if self.stored.value else ""
        self._found.object = scrolling(f"<pre>{html.escape(text)}</pre>", 200) if text else ""
        built = moment.built
        tried = () if built is None else built.imnn.candidates
        self._candidates.object = candidates_html(tried)
        self._show_recipe(built)

    def _show_recipe(self, built: Built | None) -> None:
        """Choose what a network was built from, here or on another page, once it is there."""
        if built is None or not built.is_ready or not self.changed(built):
            return
        recipe = dict(built.recipe)
        link.choose(self, recipe)
        if (name := recipe.get("name")) in self.stored.options.values():
            self.stored.value = name
        for name in {"θ_fid", "δθ", "names"} & recipe.keys():
            getattr(self, name).value = ", ".join(map(str, recipe[name]))

    def _from_problem(self) -> None:
        boxes = (("n_s", self.n_s), ("n_d", self.n_d))
        n_s, n_d = (written(name, box.value, 10, MOST_SIMULATIONS) for name, box in boxes)
        sizes = Sizes(n_s, n_d, self._seed())
        network, problem = self.network.value, self.problem.value
        place = self._session.new_place()
        self._session.build(lambda: build_problem(problem, network, sizes, place))

    def _look(self) -> None:
        """Say what the chosen simulations of the server are, once they are looked at."""
        root, name = self._session.offer.data, self.stored.value
        self._looking = Work("looking at simulations")
        if root is not None and name:
            self._looking.start(lambda _: stored.described(root, name))

    def _from_data(self) -> None:
        network, sizes = self.network.value, Sizes(seed=self._seed())
        place = self._session.new_place()
        boxes = {"θ_fid": self.θ_fid.value, "δθ": self.δθ.value}
        given = {name: numbers(name, text) for name, text in boxes.items() if text}
        named = names(self.names.value)
        root, chosen, sent = self._session.offer.data, self.stored.value, self._session.sent

        @functools.cache
        def own() -> OwnData:
            if root is not None and chosen:
                return replace(stored.own_data(root, chosen, given), names=named)
            found = stored.sent_data(sent.directory, given, sent.most_bytes)
            return replace(found, names=named)

        self._session.build(
            lambda: build_from_data(own(), network, sizes, place),
            lambda go_on: check_data(own(), go_on),
        )

    def _seed(self) -> int:
        return written("seed", self.seed.value, 0, MOST_SEED)

    def _cards(self, is_locked: bool) -> pn.Column:
        counts = pn.FlexBox(self.n_s, self.n_d, self.seed, gap="0px", **WIDE)
        problem = card("A problem", self.problem, counts, self.build)
        about = (
            "Files fiducial.npy and derivative.npy (validation_fiducial, validation_derivative and "
            "target may follow; NumPy, HDF5 or FITS), or an .npz or HDF5 file with these names; "
            f"{size_words(self._session.offer.most_bytes)} at most."
        )
        parameters = side_by_side(*((box, 150, 1) for box in (self.θ_fid, self.δθ, self.names)))
        served = [] if self._session.offer.data is None else [self.stored, self._found]
        own = card("or your own simulations", words(about), self.files, *served, parameters,
                   self.build_own)  # fmt: skip
        sides = (problem,) if is_locked else (problem, own)
        choices = side_by_side(*((side, 320, 1) for side in sides))
        return pn.Column(
            choices, card("Network", self.network, self._status, self._candidates), margin=0, **WIDE
        )


def problem_word(session: LaboratorySession) -> str:
    """Return the state of the build in a word or two."""
    if session.position:
        return f"number {session.position} in the queue"
    if session.building.is_running:
        return "building"
    if session.built is None:
        return "to be chosen"
    return "built" if session.built.is_ready else "example"


def absent_word(session: LaboratorySession) -> str:
    """Return why there is no network yet, in a word or two."""
    if session.position:
        return "waiting"
    return "being built" if session.building.is_running else "no network"


def empty(text: str) -> LiveText:
    """Return what stands where there is nothing yet: what will be there, and how."""
    return words(announced_html(text))


def written(name: str, value: int | None, least: int, most: int) -> int:
    """Return the number that a visitor wrote into a box.

    Raises
    ------
    TypeError, ValueError
        If the box is empty, or its number is not in this range.
    """
    expected = f"be a whole number from {least:,} to {most:,}"
    if value is None:
        raise ValueError(checks.wording(f"`{name}`", expected, "an empty box"))
    number = checks.integer(name, value)
    if not least <= number <= most:
        raise ValueError(checks.wording(f"`{name}`", expected, f"{number:,}"))
    return number


def _text_box(label: str, example: str) -> pn.widgets.TextInput:
    return pn.widgets.TextInput(label=label, placeholder=example, stylesheets=[HINT], **WIDE)


class TrainingStage(View[LaboratorySession]):
    """The page of training of what was built last, and the card that checks its results."""

    def __init__(self) -> None:
        super().__init__()
        self._page: TrainingPage | None = None
        self.body, self.trust = stack(empty(NOTHING_TRAINED)), stack(empty(NOTHING_TO_TRUST))

    def follow(self, session: LaboratorySession) -> bool:
        """Make the page of a new network; return whether there is a new one."""
        built, network = session.built, session.network
        if built is None or network is None or not self.changed(built):
            return False
        dashboard = TrainingDashboard(network, built.known_fisher, built.labels)
        if not built.is_ready and network.run is None:
            dashboard.state.message, dashboard.state.n_iterations = NOTICE, ITERATIONS
            dashboard.state.log_learning_rate = float(np.log10(SCRATCH_RATE))
        link.follow(session, dashboard.state)
        self._page = page = dashboard.page_beside_trust()
        self.body[:] = [page.body]
        if page.trust is not None:
            self.trust[:] = [page.trust]
        return True

    def refresh(self, moment: LaboratorySession) -> None:
        """Bring the curves and the controls up to date."""
        if self._page is not None:
            self._page.tick()

    def refresh_trust(self) -> None:
        """Bring the answers up to date."""
        if self._page is not None and self._page.trust is not None:
            self._page.trust.refresh(self._page.state)

    def word(self, session: LaboratorySession) -> str:
        """Return the state of the training in a word."""
        return absent_word(session) if self._page is None else self._page.state.word

    def trust_word(self, session: LaboratorySession) -> str:
        """Return the worst light in a word."""
        trust = None if self._page is None else self._page.trust
        return absent_word(session) if trust is None else trust.word


class TrustStage(View[LaboratorySession]):
    """The answers to how far the results can be trusted.

    Parameters
    ----------
    training : TrainingStage
        Whose results are checked.
    """

    def __init__(self, training: TrainingStage) -> None:
        super().__init__()
        self._training, self.body = training, training.trust

    def refresh(self, moment: LaboratorySession) -> None:
        """Show the last answers."""
        self._training.refresh_trust()


class InferenceStage(View[LaboratorySession]):
    """The page of inference with the network as it is when the stage is first shown.

    A button takes the network as it is later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._page: InferencePage | None = None
        self._state: InferenceState | None = None
        self._is_wanted = False
        self._button = self._new_button()
        self._status, self._results = words(), stack()
        self.body = stack(empty(NOTHING_INFERRED))

    def refresh(self, moment: LaboratorySession) -> None:
        """Open the page of a new network, and bring it up to date."""
        built = moment.built
        if built is None:
            return
        if self.changed(built):
            self.body[:] = [self._button, self._status, self._results]
            if moment.inference is None:
                self._ask()
        if not built.is_ready and moment.building.state != "failed":
            moment.prepare()
            self._status.object = announced_html("Preparing the network …")
            return
        if self._is_wanted:
            self._is_wanted = False
            self.attempt(lambda: self._open(moment, built))
        if moment.inference is not self._state:  # opened here, on another page or before a reload
            self._show(moment.inference)
        since = f"{TRAINED_SINCE} {INFER_AGAIN}" if moment.is_trained_since else ""
        self._status.object = announced_html(since) + announced_html(self.failure, "alert")
        if self._page is not None:
            self._page.tick()
            moment.keep_inference()

    def word(self, session: LaboratorySession) -> str:
        """Return what there is so far, in a word or two."""
        state = session.inference
        if session.built is None:
            return absent_word(session)
        if state is None:
            return "not begun"
        if state.abc_work.is_running or state.pmc_work.is_running:
            return "simulating"
        if session.is_trained_since:
            return "trained since"
        return f"{state.n_draws:,} draws"

    def _ask(self) -> None:
        self._is_wanted, self.failure = True, ""

    def _new_button(self) -> Any:
        return action_button(INFER, self._ask, 220, "outline")

    def _open(self, session: LaboratorySession, built: Built) -> None:
        dashboard = InferenceDashboard(
            built.imnn.estimator, built.prior_here(), built.simulator, built.target,
            labels=built.labels, exact=built.exact,
        )  # fmt: skip
        if session.inference is not None:
            session.inference.stop()
        session.inference = dashboard.state

    def _show(self, state: InferenceState | None) -> None:
        self._state = state
        self._button.visible = state is None  # that of the page stands beside its tabs
        self._page = None
        if state is not None:
            self._page = InferencePage(state, follows=False, beside=self._new_button())
        self._results[:] = [] if self._page is None else [self._page.body]


class ResultsStage(View[LaboratorySession]):
    """The results of this session, and saved ones that a visitor opens.

    Parameters
    ----------
    session : LaboratorySession
    """

    def __init__(self, session: LaboratorySession) -> None:
        super().__init__()
        self._session = session
        self._wanted: Results | None = None
        self._page: ResultsPage | None = None
        self._files = FileSender(session.sent_results, "results")
        show = action_button("Show this session's results", lambda: self.attempt(self._show), 220)
        load = action_button("Open these files", lambda: self.attempt(self._load), 150, "outline")
        self._download = pn.widgets.FileDownload(
            callback=self._saved, filename="imnn.zip", label="Network and history (imnn.zip)",
            styles=FRAMED, disabled=True, width=245, margin=(4, 10),
        )  # fmt: skip
        self._status, self._results = words(), stack()
        self.share = ShareCard(session)
        self._sending = card(
            "Reopen results",
            words("Saved before: state.npz, which imnn.zip holds, and posteriors' .npz."),
            self._files,
            load,
        )
        reopen = action_button("Reopen saved ones", self._open_or_close, 170, "outline")
        is_locked = session.offer.is_locked
        row = [show, self._download, *self.share.buttons, *([] if is_locked else [reopen])]
        self.body = stack(
            card("", pn.FlexBox(*row, gap="0px", **WIDE)),
            self._status,
            *([] if is_locked else [self._sending]),
            self._results,
            self.share,
        )

    def refresh(self, moment: LaboratorySession) -> None:
        """Show what was asked for."""
        self._download.disabled = moment.built is None or not moment.built.is_ready
        self.share.refresh(moment)
        self._status.object = announced_html(self.failure, "alert")
        if self._wanted is not None:
            self._page, self._wanted = ResultsPage(self._wanted), None
            self._results[:] = [self._page.body]
            self._sending.visible = False
        if self._page is not None:
            self._page.tick()

    def _open_or_close(self) -> None:
        self._sending.visible = not self._sending.visible

    def word(self, session: LaboratorySession) -> str:
        """Return whether results are shown."""
        return "to be opened" if self._page is None else "shown"

    def _show(self) -> None:
        self._want(
            self._session.results(),
            "There are no results yet: build a network, or open files.",
        )

    def _load(self) -> None:
        results = Results()
        sent = self._session.sent_results
        for path in sent.paths:
            results = results.joined(results_of(path.stem, read_upload(path, sent.most_bytes)))
        self._want(results, "No file was chosen.")

    def _want(self, results: Results, otherwise: str) -> None:
        if not (results.trainings or results.posteriors):
            raise ValueError(otherwise)
        self._wanted = results

    def _saved(self) -> io.BytesIO:
        built = self._session.built
        if built is None:
            return io.BytesIO()
        with tempfile.TemporaryDirectory() as directory:
            built.imnn.save(Path(directory, "imnn"))
            packed = shutil.make_archive(str(Path(directory, "saved")), "zip", directory, "imnn")
            return io.BytesIO(Path(packed).read_bytes())
