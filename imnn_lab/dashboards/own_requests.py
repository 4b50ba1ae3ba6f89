"""What a page asked a run for, to be told from what others asked for."""

from __future__ import annotations

from collections.abc import Mapping

from imnn_lab.results import SteeringMark


class OwnRequests:
    """The values that were asked for here and have not been seen in use."""

    def __init__(self) -> None:
        self._asked: dict[str, list[float]] = {}

    def add(self, settings: Mapping[str, float]) -> None:
        """Remember what is asked for."""
        for name, value in settings.items():
            self._asked.setdefault(name, []).append(value)

    def take(self, mark: SteeringMark) -> bool:
        """Say whether a mark was asked for here; forget it then, and what was asked before it."""
        asked = self._asked.get(mark.name, [])
        is_own = mark.value in asked
        del asked[: asked.index(mark.value) + 1 if is_own else len(asked)]
        return is_own
