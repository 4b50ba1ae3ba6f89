"""Ticks of logarithmic axes in a browser, of any length.

Bokeh's own are those of a linear axis below two decades: they crowd at the end, and a label may be
that of the next power of ten.
"""

from __future__ import annotations

from bokeh.models import CustomJSTicker, CustomJSTickFormatter
from bokeh.plotting import figure

# The coarsest of: powers of ten (each, or each second...), 1 and 3, 1, 2 and 5, equal steps.
PLACES = """
const [low, high] = [cb_data.start, cb_data.end].sort((a, b) => a - b)
if (!(low > 0) || !isFinite(high)) return []
const inside = ticks => ticks.map(tick => Number(tick.toPrecision(6)))
  .filter(tick => low <= tick && tick <= high)
const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high))
const powers = Array.from({length: last - first + 1}, (_, i) => first + i)
const every = Math.ceil((last - first) / 6)
for (const parts of [[1], [1, 3], [1, 2, 5]]) {
  const chosen = parts.length > 1 ? powers : powers.filter(power => power % every === 0)
  const found = inside(chosen.flatMap(power => parts.map(part => part * 10 ** power)))
  if (found.length > 2) return found
}
const unit = 10 ** Math.floor(Math.log10((high - low) / 2))
const step = [5, 2, 1].map(n => n * unit).find(step => (high - low) / step >= 2)
const start = Math.ceil(low / step)
return inside(Array.from({length: 25}, (_, i) => (start + i) * step))
"""
WORDS = """
const power = Math.floor(Math.log10(tick) + 1e-9)
if (-5 < power && power < 6) return String(Number(tick.toPrecision(6)))
const part = Number((tick / 10 ** power).toPrecision(6))
const raised = [...String(power)].map(c => c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]).join("")
return (part === 1 ? "" : part + "·") + "10" + raised
"""


def with_log_ticks(shown: figure) -> figure:
    """Return a figure whose logarithmic axes have two labels at least, and few."""
    for axis, scale in ((shown.xaxis, shown.x_scale), (shown.yaxis, shown.y_scale)):
        if type(scale).__name__ == "LogScale":
            axis.ticker = CustomJSTicker(major_code=PLACES)
            axis.formatter = CustomJSTickFormatter(code=WORDS)
    return shown
