"""Tabs: a row of names with a word about each, and the contents of one, built when first shown.

The row is a group of Bokeh's radio buttons; `layout.NAME_CONTROLS` gives it the roles, the names
and the keys of tabs (arrows, Home, End), because neither Bokeh nor Panel does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import panel as pn

from imnn_lab.dashboards.common.layout import (
    OWN_SIZE,
    TAB_PANEL,
    TAB_ROW,
    WIDE,
    Moment,
    View,
    flowing,
    stack,
)

# !important: the theme of the page has rules for buttons of its own
LOOK = """
.bk-btn-group { display: flex; flex-wrap: wrap; gap: 0; height: auto }
.bk-btn-group .bk-btn {
  border: 0 !important; border-radius: 0; border-bottom: 3px solid transparent !important;
  background: none !important; box-shadow: none !important; color: inherit !important;
  padding: 4px 9px; height: auto !important; min-height: 36px; flex: 0 0 auto;
  white-space: pre-line; line-height: 1.3; text-align: left; font-size: 0.85em; text-transform: none
}
.bk-btn-group .bk-btn::first-line { font-weight: 600; font-size: 1.15em }
.bk-btn-group .bk-btn:hover { background: rgba(128, 128, 128, 0.15) !important }
.bk-btn-group .bk-btn.bk-active { border-bottom-color: currentColor !important }
.bk-btn-group .bk-btn:focus-visible { outline: 2px solid currentColor; outline-offset: -2px }
@media (max-width: 520px) { .bk-btn-group .bk-btn { padding: 4px 5px } }
"""


@dataclass(frozen=True)
class Tab(Generic[Moment]):
    """One of several things to look at.

    Attributes
    ----------
    name : str
        Its title, which no other tab of the row has.
    make : callable
        Returns what it shows, a view or anything that Panel shows; called when it is first shown.
    state : callable, optional
        Returns a word or two about it, for example "running", shown below its name.
    """

    name: str
    make: Callable[[], Any]
    state: Callable[[Moment], str] | None = None


class Tabs(View[Moment]):
    """Several things to look at, one at a time.

    What was shown before stays as it is, but is not refreshed while it is hidden.

    Parameters
    ----------
    tabs : sequence of Tab
    first : str, optional
        Name of the one that is shown first; by default that of the first of them.
    beside : viewable, optional
        Stands beside their names, below them where a page is narrow.
    width : int
        Pixels that `beside` asks for.
    """

    def __init__(
        self,
        tabs: Sequence[Tab[Moment]],
        first: str = "",
        beside: Any = None,
        width: int = 240,
    ) -> None:
        super().__init__()
        self._tabs = {tab.name: tab for tab in tabs}
        self._made: dict[str, Any] = {}
        self._moment: Moment | None = None
        self._places = {name: self._place() for name in self._tabs}
        self._row = pn.widgets.RadioButtonGroup(
            options={name: name for name in self._tabs}, value=first or next(iter(self._tabs)),
            css_classes=[TAB_ROW], stylesheets=[LOOK], styles=OWN_SIZE, margin=(0, 5), **WIDE,
        )  # fmt: skip
        self._row.param.watch(lambda event: self._show(), "value")
        row = self._row if beside is None else flowing((self._row, 340, 1), (beside, width, 0))
        self.body = stack(row, *self._places.values())
        self._show()

    @property
    def shown(self) -> str:
        """Name of the tab that is shown."""
        return str(self._row.value)

    def show(self, name: str) -> None:
        """Show another tab."""
        self._row.value = name

    def made(self, name: str) -> Any:
        """Return what a tab shows, None if it was never shown."""
        return self._made.get(name)

    def refresh(self, moment: Moment) -> None:
        """Write the words of all tabs, and refresh the one that is shown."""
        self._moment = moment
        names = {_titled(tab, moment): tab.name for tab in self._tabs.values()}
        if names != self._row.options:
            self._row.options = names
        view = self._made[self.shown]
        if isinstance(view, View):
            view.refresh(moment)

    def _show(self) -> None:
        # Sent together, in order: while a browser still takes the last message, Panel would queue
        # new contents, and let Bokeh tell of changes to them before the browser has heard of them.
        with pn.io.unlocked(policy="collect"):
            name = self.shown
            if name not in self._made:
                self._made[name] = self._tabs[name].make()
                self._places[name][:] = [self._made[name]]
            for other, place in self._places.items():
                place.visible = other == name
            if self._moment is not None:
                self.refresh(self._moment)

    @staticmethod
    def _place() -> pn.Column:
        return pn.Column(css_classes=[TAB_PANEL], visible=False, margin=0, **WIDE)


def _titled(tab: Tab[Moment], moment: Moment) -> str:
    word = "" if tab.state is None else tab.state(moment)
    return f"{tab.name}\n{word}" if word else tab.name
