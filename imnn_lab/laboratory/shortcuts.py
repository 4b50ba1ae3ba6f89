"""Keys of the served page: space pauses and resumes the training, "?" lists the keys."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.models import CustomJS

# Buttons lie in shadow roots, which no selector of the document reaches. What has the focus and
# takes the key itself (boxes, buttons, choices) keeps it; for a slider, and for the tab that is
# shown, it means nothing.
KEYS = """
{
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const list = () => {
    let dialog = document.querySelector("#imnn-lab-keys")
    if (dialog === null) {
      dialog = document.createElement("dialog")
      dialog.id = "imnn-lab-keys"
      dialog.setAttribute("aria-label", "Keys")
      dialog.style = "color-scheme: light dark; font-family: sans-serif; line-height: 1.8"
      dialog.innerHTML = `<div><kbd>Space</kbd> pause or resume the training</div>
        <div><kbd>←</kbd> <kbd>→</kbd> next tab, or a step of a slider</div>
        <div><kbd>?</kbd> this list</div><button autofocus>Close</button>`
      dialog.querySelector("button").addEventListener("click", () => dialog.close())
      document.body.append(dialog)
    }
    if (dialog.open) dialog.close()
    else dialog.showModal()
  }
  const act = event => {
    const at = event.composedPath()[0]
    const open = document.querySelector("dialog[open]")
    if (event.ctrlKey || event.altKey || event.metaKey || (open && open.id !== "imnn-lab-keys"))
      return
    if (at.matches?.("input, textarea, select, [contenteditable]")) return
    if (event.key === "?") list()
    if (event.key !== " " || open) return
    const isFree = at.matches?.("[role=slider], [role=tab][aria-selected=true]")
    if (!isFree && at.matches?.("button, a, [role=tab], [tabindex]")) return
    const button = inside(document).find(e => e.matches("button") && !e.disabled
      && ["Pause", "Resume"].includes(e.textContent.trim()) && e.checkVisibility())
    if (button === undefined) return
    event.preventDefault()
    button.click()
  }
  if (!window.imnn_lab_keys) document.addEventListener("keydown", act)
  window.imnn_lab_keys = list
}
"""


def listen(document: Document) -> None:
    """Let a served page listen to keys once it is ready."""
    document.js_on_event("document_ready", CustomJS(code=KEYS))
