"""The box of a page in which visitors choose files to send; see `imnn_lab.laboratory.sent`."""

from __future__ import annotations

from typing import Any, ClassVar

import param
from panel.custom import JSComponent

from imnn_lab import checks
from imnn_lab.dashboards.common.layout import WIDE
from imnn_lab.dashboards.host.sessions import end_with_session
from imnn_lab.laboratory.sent import PIECE, Incoming, Sent

RENDER = """
const PATIENCE = 60000  // milliseconds
const sized = bytes => {
  const units = ["B", "kB", "MB", "GB"]
  while (bytes >= 1000 && units.length > 1) {
    bytes /= 1024
    units.shift()
  }
  return `${Number(bytes.toPrecision(4))} ${units[0]}`
}
class End extends Error { }  // after which no other file is tried

export function render({model}) {
  const make = (kind, values) => Object.assign(document.createElement(kind), values)
  const input = make("input", {type: "file", multiple: true, accept: model.accept, id: "files"})
  const label = make("label", {htmlFor: "files", textContent: model.label})
  const bar = make("progress", {max: 1, hidden: true})
  bar.setAttribute("aria-label", "files sent")
  const cancel = make("button", {type: "button", textContent: "Cancel", hidden: true})
  const clear = make("button", {type: "button", textContent: "Remove these files"})
  const say = make("div", {role: "status"})
  const held = make("div", {}), each = make("div", {})
  const box = make("div", {className: "sender"})
  box.append(label, input, bar, cancel, say, held, each, clear)

  let waiting = null, number = 0, is_cancelled = false
  model.on("msg:custom", given => {
    if (waiting?.id === given.id) waiting.answer(given)
  })
  const ask = message => new Promise((resolve, reject) => {
    const id = ++number
    const lost = "The server does not answer: choose the files again once it does."
    const timer = setTimeout(() => reject(new End(lost)), PATIENCE)
    const answer = given => {
      clearTimeout(timer)
      given.refused ? reject(new Error(given.refused)) : resolve()
    }
    waiting = {id, answer}
    model.send_msg({...message, id})
  })
  const tell = (text, role = "status") => {
    say.setAttribute("role", role)
    say.textContent = text
  }
  const show = () => {
    held.textContent = model.held && `Here: ${model.held}`
    clear.hidden = !model.held
    each.replaceChildren(...(model.names.length > 1 ? model.names : []).map(name => {
      const button = make("button", {type: "button", textContent: `Remove ${name}`})
      const remove = () => ask({do: "remove", name}).then(() => tell(""), () => {})
      button.addEventListener("click", remove)
      return button
    }))
  }
  const send = async (file, before, total) => {
    await ask({do: "begin", name: file.name, size: file.size})
    for (let at = 0; at < file.size; at += model.piece) {
      if (is_cancelled) throw new End("Cancelled.")
      const piece = await file.slice(at, at + model.piece).arrayBuffer()
      await ask({do: "piece", at, piece})
      const come = before + at + piece.byteLength
      bar.value = come / total
      tell(`${file.name}: ${sized(come)} of ${sized(total)}`)
    }
    await ask({do: "end"})
  }
  const send_all = async files => {
    const total = files.reduce((sum, file) => sum + file.size, 0), refused = []
    let before = 0
    for (const file of files) {
      try {
        await send(file, before, total)
      } catch (error) {
        if (error instanceof End) throw error
        await ask({do: "cancel"})  // what the browser could not read to its end
        refused.push(`${file.name} is not taken. ${error.message}`)
      }
      before += file.size
    }
    if (!refused.length) return tell("All is sent.")
    if (refused.length < files.length) refused.push("All others are sent.")
    tell(refused.join("\\n"), "alert")
  }
  input.addEventListener("change", async () => {
    const files = [...input.files]
    input.value = ""  // the same files can be chosen again
    if (!files.length) return
    is_cancelled = false
    cancel.hidden = bar.hidden = false
    input.disabled = clear.disabled = true
    bar.value = 0
    try {
      await send_all(files)
    } catch (error) {
      if (is_cancelled) await ask({do: "cancel"}).catch(() => {})
      tell(error.message, "alert")
    }
    cancel.hidden = bar.hidden = true
    input.disabled = clear.disabled = false
  })
  cancel.addEventListener("click", () => { is_cancelled = true })
  clear.addEventListener("click", () => ask({do: "clear"}).then(() => tell(""), () => {}))
  model.on("held", show)
  model.on("names", show)
  show()
  return box
}
"""
STYLE = """
.sender { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; margin: 5px 10px }
.sender > label, .sender > div { flex-basis: 100% }
.sender > div > button { margin: 0 6px 6px 0 }
.sender > div:empty, .sender > [hidden] { display: none }
.sender input, .sender button { font: inherit; color: inherit; max-width: 100% }
.sender button { background: none; border: 1px solid; border-radius: 4px; padding: 3px 10px }
.sender [role=alert] { border-left: 4px solid #c00; padding: 4px 8px; white-space: pre-line }
"""


class FileSender(JSComponent):
    """A box to choose files in, which the browser sends in pieces, with their progress.

    Parameters
    ----------
    sent : Sent
        Where they go.
    label : str
    """

    label = param.String()
    accept = param.String()
    piece = param.Integer(PIECE)
    held = param.String(doc="What is there.")
    names = param.List(doc="The names of it.")
    _esm = RENDER
    _stylesheets: ClassVar[list[str]] = [STYLE]

    def __init__(self, sent: Sent, label: str) -> None:
        super().__init__(label=label, accept=",".join(sent.suffixes), **WIDE)
        self._files = sent
        self._coming: Incoming | None = None
        self._tell()
        end_with_session(self.cancel)

    def cancel(self) -> None:
        """Remove a file that has come in part."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()

    def _handle_msg(self, data: Any) -> None:
        """Answer a message of the browser."""
        answer: dict[str, Any] = {}
        try:
            self._take(data)
        except (KeyError, OSError, TypeError, ValueError) as error:
            self.cancel()
            answer["refused"] = checks.words_of(error)
        self._tell()
        self._send_msg(answer | {"id": data.get("id") if isinstance(data, dict) else None})

    def _tell(self) -> None:
        names = [path.name for path in self._files.paths]
        self.param.update(held=self._files.words(), names=names)

    def _take(self, message: dict[str, Any]) -> None:
        act, coming = message["do"], self._coming
        if act in ("piece", "end") and coming is None:
            raise ValueError("The server has lost the beginning of this file: send it again.")
        if act == "piece" and coming is not None:
            coming.add(message["at"], bytes(message["piece"]))
        elif act == "end" and coming is not None:
            coming.end()
            self._coming = None
        elif act == "remove":
            self._files.remove(message["name"])
        elif act in ("begin", "cancel", "clear"):
            self.cancel()
            if act == "begin":
                self._coming = self._files.begin(message["name"], message["size"])
            elif act == "clear":
                self._files.clear()
