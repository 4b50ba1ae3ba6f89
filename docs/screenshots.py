"""Take screenshots of every stage of a running laboratory, in four widths and two themes.

    imnn-lab serve &
    python docs/screenshots.py http://127.0.0.1:5006 /tmp/screenshots

makes STAGE-WIDTH-THEME.png there, training.png and steering.webp: a training that is steered; and
example.webp, the curves of the example. It needs the extra "test" and Chromium. Copied to docs/,
the first two are the README's; the last belongs into imnn_lab/data/.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from imnn_lab.laboratory.first import HEIGHT, LEFT, TOP, WIDTH

SIZES = {480: 900, 800: 900, 1280: 800, 1920: 1080}
STAGES = {  # with a button of each
    "Problem": "Build the network", "Train": "Start", "Trust": "Check",
    "Infer": "Infer with this network", "Results": "Show this session's results",
}  # fmt: skip
FLAGS = ["--no-sandbox", "--disable-gpu"]
FRAMES, FRAME_MS, FILM_WIDTH = 36, 250, 960


def tab(page: Page, name: str) -> None:
    """Show a tab."""
    page.get_by_role("tab", name=re.compile("^" + name)).click()


def press(page: Page, name: str) -> None:
    """Press a button."""
    page.get_by_role("button", name=name, exact=True).click()


def opened(browser: Browser, address: str, width: int, theme: str) -> Page:
    """Open the laboratory in a window of this width."""
    page = browser.new_page(viewport={"width": width, "height": SIZES[width]})
    page.set_default_timeout(180_000)
    page.goto(address)
    expect(page.get_by_role("tab", name=re.compile("^Train"))).to_be_visible(timeout=180_000)
    if theme == "dark":
        page.get_by_role("button", name="Toggle theme").click()
    return page


def fill(page: Page) -> None:
    """Train the example, check it, draw, and show the results."""
    press(page, "Start")
    expect(page.get_by_text(re.compile("^Finished")).first).to_be_visible(timeout=300_000)
    tab(page, "Trust")
    press(page, "Check")
    expect(page.get_by_text("Report (HTML)")).to_be_enabled()
    page.get_by_text("How much information").first.wait_for()
    tab(page, "Infer")
    press(page, "Draw")
    page.get_by_text(re.compile("finished: ")).first.wait_for()
    tab(page, "Results")
    press(page, "Show this session's results")
    page.get_by_text("Saved IMNN").first.wait_for()


def stages(browser: Browser, address: str, place: Path) -> None:
    """Fill a run once, and look at all of its stages in each width and theme."""
    first = opened(browser, address, 1280, "light")
    fill(first)
    run = first.url
    for theme in ("light", "dark"):
        for width in SIZES:
            page = opened(browser, run, width, theme)
            for stage, button in STAGES.items():
                tab(page, stage)
                expect(page.get_by_role("button", name=button, exact=True)).to_be_visible()
                page.wait_for_timeout(2500)
                page.screenshot(path=place / f"{stage.lower()}-{width}-{theme}.png")
            page.close()
    first.close()


def curves(browser: Browser, address: str, place: Path) -> None:
    """Make what the page shows first: the curves of the example as it draws them, its clip."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page.goto(address)
    page.get_by_text(re.compile(r"^iteration 400\b")).wait_for(timeout=180_000)
    page.wait_for_timeout(2000)
    clip = {"x": LEFT, "y": TOP, "width": WIDTH, "height": HEIGHT}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip)))
    picture.convert("RGB").save(place / "example.webp", quality=90, method=6)
    page.close()


def film(browser: Browser, address: str, place: Path) -> None:
    """Make the animation: a training starts, and λ is moved twice."""
    page = opened(browser, address, 1280, "light")
    page.get_by_label("iterations", exact=True).fill("100000")
    rate = page.get_by_role("slider", name=re.compile("^learning rate"))
    for _ in range(80):  # so that the network does not over-fit before the film ends
        rate.press("ArrowLeft")
    press(page, "Start")
    page.get_by_text("Running.").wait_for()
    λ, frames = page.get_by_role("slider", name=re.compile("^λ")), []
    for frame in range(FRAMES):
        if frame in (12, 24):
            box = λ.bounding_box() or {}
            at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(*at)
            page.mouse.down()
            page.mouse.move(at[0] + (40 if frame > 12 else -50), at[1], steps=5)
            page.mouse.up()
        page.wait_for_timeout(FRAME_MS)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        height = FILM_WIDTH * picture.height // picture.width
        frames.append(picture.resize((FILM_WIDTH, height), Image.Resampling.LANCZOS))
    options = {"save_all": True, "append_images": frames[1:], "duration": FRAME_MS, "loop": 0}
    frames[0].save(place / "steering.webp", quality=60, method=4, **options)
    page.screenshot(path=place / "training.png")
    press(page, "Stop")
    page.close()


def main(address: str, directory: str) -> None:
    """Make all pictures."""
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        expect.set_options(timeout=180_000)
        executable = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        curves(browser, address, place)
        film(browser, address, place)
        stages(browser, address, place)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
