"""Names for controls that Bokeh and Panel leave without one, for those who do not see the page."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.models import CustomJS

# Controls come and go, and lie in shadow roots: so they are looked for from time to time.
NAME_CONTROLS = """
{
  const text = element => element?.textContent.trim() ?? ""
  const kinds = [
    [".noUi-handle", place => text(place.querySelector(".bk-slider-title")).replace(/:[^:]*$/, "")],
    ["input[type=range]", place => text(place.querySelector(".pn-player-title"))],
    ["input[type=checkbox]", (_, found) => text(found.nextElementSibling)],
    [".bk-spin-btn-up", () => "more"],
    [".bk-spin-btn-down", () => "less"],
    ["button", (_, found) => text(found) ? "" : found.className],
  ]
  const look = place => {
    for (const found of place.querySelectorAll("*")) {
      if (found.shadowRoot) look(found.shadowRoot)
      if (found.hasAttribute("aria-label")) continue
      const kind = kinds.find(([selector]) => found.matches(selector))
      const name = kind?.[1](place, found)
      if (name) found.setAttribute("aria-label", name)
    }
  }
  window.imnn_lab_names ??= setInterval(() => look(document), 1000)
}
"""


def name_controls(document: Document) -> None:
    """Let a served page name its controls once it is there."""
    document.js_on_event("document_ready", CustomJS(code=NAME_CONTROLS))


def naming_script() -> str:
    """Return the HTML that does the same in a notebook."""
    return f'<script type="application/javascript">{NAME_CONTROLS}</script>'
