"""A served page whose connection is lost says so, and is loaded again when the server answers.

Its run belongs to the server: the page that is loaded finds it by its address.
"""

from __future__ import annotations

from bokeh.document import Document
from bokeh.models import CustomJS

# Any answer will do but that of a proxy whose server is away.
LOST = """
if (document.querySelector("#imnn-lab-lost") === null) {
  const notice = document.createElement("div")
  notice.id = "imnn-lab-lost"
  notice.setAttribute("role", "alert")
  notice.textContent = "The connection to the server is lost: nothing here is up to date, and no "
    + "button works. The page is loaded again as soon as the server answers."
  notice.style = "position: fixed; inset: auto 0 0 0; z-index: 10000; padding: 12px 16px; "
    + "background: #7a1f00; color: #fff; font: 15px sans-serif"
  document.body.append(notice)
  const ask = async seconds => {
    await new Promise(done => setTimeout(done, 1000 * seconds))
    try {
      const answer = await fetch(location.href, {method: "HEAD"})
      if (answer.status < 500) return location.reload()
    } catch {}
    ask(Math.min(2 * seconds, 20))
  }
  ask(1)
}
"""


def watch(document: Document) -> None:
    """Let a served page notice that its connection is lost."""
    document.js_on_event("connection_lost", CustomJS(code=LOST))
