"""For a class: where the last layer starts, what happens now in a sentence, and earlier runs."""

from __future__ import annotations

import html

import panel as pn

from imnn_lab.dashboards.common.layout import (
    CHOSEN,
    LiveText,
    Select,
    View,
    action_button,
    announced_html,
    card,
    scrolling,
    stack,
    table,
)
from imnn_lab.dashboards.training.ghosts import swatch_html
from imnn_lab.dashboards.training.lesson import Progress, lesson
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.dashboards.training.state import STARTS, TrainingState

NO_GHOSTS = "Runs are kept here when another one begins: change a setting, and begin anew."


class LessonView(View[Moment]):
    """One sentence that says what is happening now."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state, self._progress, self._cursor = state, Progress(), 0
        self._history: object = None
        self.words = LiveText("", margin=(0, 5))
        self.body = card("What happens now", self.words)

    def refresh(self, moment: Moment) -> None:
        """Write the sentence; a view that was hidden catches up."""
        if moment.history is not self._history:
            self._history, self._progress, self._cursor = moment.history, Progress(), 0
        columns, self._cursor = moment.history.read(self._cursor)
        self._progress.add(columns)
        recent, _ = moment.history.read(max(0, self._cursor - 2 * self._progress.stretch))
        text = lesson(self._progress, recent, self.state.word, self.state.has_pair)
        self.words.object = announced_html(text)


class StartView(View[Moment]):
    """The choice between the closed form and a random last layer, and a button to begin."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state
        param = state.param
        self.start = pn.widgets.RadioButtonGroup.from_param(
            param.start_from, margin=(4, 10), stylesheets=[CHOSEN]
        )
        self.whitened = pn.widgets.Checkbox.from_param(param.whitened, margin=(10, 10))
        self.seed = pn.widgets.IntInput.from_param(param.start_seed, width=90, margin=(0, 10))
        self.begin = action_button("Begin anew", state.begin_anew, 120)
        self.words = LiveText("", margin=(4, 10))
        choices = pn.FlexBox(
            self.start, self.whitened, self.seed, self.begin,
            sizing_mode="stretch_width", align_items="end",
        )  # fmt: skip
        self.body = card("Where the last layer starts", choices, self.words)

    def refresh(self, moment: Moment) -> None:
        """Enable what can be chosen now."""
        state = self.state
        self.begin.disabled = state.is_running
        self.seed.disabled = state.start_from == STARTS[0]
        first = (
            "The last layer is solved for what the layers before it give: training improves those."
            if state.start_from == STARTS[0]
            else "The last layer is drawn at random, and all is left to training."
        )
        self.words.object = f'<div style="font-size: 0.9em">{html.escape(first)}</div>'


class GhostsView(View[Moment]):
    """Earlier runs in a table: which curves are drawn, other names, and away with them."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state, self._is_mine = state, False
        self.table = LiveText(NO_GHOSTS, margin=(4, 10))
        self.shown = pn.widgets.CheckBoxGroup(label="drawn", inline=True, margin=(0, 10))
        self.run = Select(label="run", options=[], width=74, margin=(0, 2, 0, 10))
        self.new_name = pn.widgets.TextInput(label="new name", width=76, margin=(0, 2))
        row = pn.FlexBox(
            self.run,
            self.new_name,
            action_button("Rename", self._rename, 72, "outline"),
            action_button("Delete", self._delete, 68, "outline"),
            gap="0px",
            align_items="end",
            sizing_mode="stretch_width",
        )
        self.acts = stack(self.shown, row)
        self.acts.visible = False
        self.shown.param.watch(lambda event: self._show(), "value")
        self.body = card("Earlier runs", self.table, self.acts)

    def refresh(self, moment: Moment) -> None:
        """Write the table where runs were kept, renamed, deleted or hidden."""
        ghosts = self.state.ghosts.all
        names = [ghost.name for ghost in ghosts]
        shown = [ghost.name for ghost in ghosts if ghost.is_shown]
        if not self.changed((tuple(names), tuple(shown))):
            return
        self._is_mine = True
        self.shown.param.update(options=names, value=shown)
        self.run.options = names
        self._is_mine = False
        self.acts.visible = bool(names)
        if not names:
            self.table.object = NO_GHOSTS
            return
        header = ["", *ghosts[0].settings]
        rows = [[ghost.name, *ghost.settings.values()] for ghost in ghosts]
        swatches = [swatch_html(ghost) for ghost in ghosts]
        smaller = f'<div style="font-size: 0.85em">{table(header, rows, swatches)}</div>'
        self.table.object = scrolling(smaller, 160)

    def _show(self) -> None:
        if not self._is_mine:
            self.state.ghosts.show(self.shown.value)
            self.state.acts += 1

    def _rename(self) -> None:
        if self.run.value and self.state.ghosts.rename(self.run.value, self.new_name.value):
            self.new_name.value = ""
        self.state.acts += 1

    def _delete(self) -> None:
        self.state.ghosts.delete(self.run.value)
        self.state.acts += 1


class TeachingView(View[Moment]):
    """The three together."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.lesson, self.start = LessonView(state), StartView(state)
        self.ghosts = GhostsView(state)
        self.body = stack(self.lesson, self.start, self.ghosts)

    def refresh(self, moment: Moment) -> None:
        """Refresh each."""
        for view in (self.lesson, self.start, self.ghosts):
            view.refresh(moment)
