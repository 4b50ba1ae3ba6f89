"""What a page shows until a browser can draw: a picture of the curves of the recorded example.

data/example.webp is what the page itself draws; ``docs/screenshots.py`` makes it.
"""

from __future__ import annotations

import base64
import functools
import html
from importlib.resources import files

# The picture stands where the page puts its curves (dashboards/training/dashboard.py); it leaves
# when a figure is there. Figures lie in shadow roots, which no selector of the document reaches.
FIRST = """<div id="imnn-first">
<style>
#imnn-first header {{ position: absolute; inset: 0 0 auto; height: 68px; background: #0072b5;
  box-sizing: border-box; padding-left: 24px; color: white; font: 500 24px/64px sans-serif }}
#imnn-first img {{
  position: absolute; left: {left}px; top: {top}px; max-width: calc(100vw - 34px)
}}
</style>
<header>{title}</header>
<img width="{width}" height="{height}" src="data:image/webp;base64,{picture}"
  alt="Curves of a recorded training: det F, det C and the regulariser by iteration">
<script>
{{
  const first = document.currentScript.parentElement
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const look = () => {{
    if (inside(document.body).some(e => e.matches(".bk-Figure") && e.offsetHeight > 50))
      first.remove()
    else setTimeout(look, 50)
  }}
  look()
}}
</script>
</div>"""
WIDTH, HEIGHT, LEFT, TOP = 534, 534, 17, 140  # of the curves on a page of 1280 pixels


@functools.cache
def first_html(title: str) -> str:
    """Return the picture below the title of the page, as HTML that leaves when a figure comes."""
    picture = (files("imnn_lab") / "data" / "example.webp").read_bytes()
    return FIRST.format(
        title=html.escape(title), picture=base64.b64encode(picture).decode(),
        width=WIDTH, height=HEIGHT, left=LEFT, top=TOP,
    )  # fmt: skip
