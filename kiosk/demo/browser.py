"""A responder's phone: a real browser that shows the board, sees what a person sees and touches what a person touches."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserFailure

CONNECT_S = 20.0
PHONE = {"width": 390, "height": 844}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
WATCH_PAINTING = """
window.painted = {};
const note = () => {
  for (const card of document.querySelectorAll("article[data-incident]")) {
    const key = card.dataset.incident;
    if (!(key in window.painted)) {
      window.painted[key] = null;
      requestAnimationFrame(() => requestAnimationFrame(() => { window.painted[key] = Date.now(); }));
    }
  }
};
new MutationObserver(note).observe(document, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["data-incident"],
});
"""


class BrowserError(RuntimeError):
    """The browser cannot run, or does not show what was waited for."""


class Phone:
    """One open page of a board."""

    def __init__(self, page: Page, name: str) -> None:
        self.page, self.name = page, name

    def wait_alert(self, timeout_s: float = 30.0) -> float:
        """Return the time of day, in seconds since 1970, at which an open alert was painted."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            painted_ms = self.page.evaluate("Object.values(window.painted).find((at) => at) ?? 0")
            if painted_ms:
                return float(painted_ms) / 1000.0
            self.page.wait_for_timeout(20)
        raise BrowserError(f"{self.name}'s board shows no alert; it says: {self.text()}")

    def wait_text(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until the page shows `text`."""
        try:
            self.page.get_by_text(text).first.wait_for(timeout=timeout_s * 1000)
        except BrowserFailure:
            raise BrowserError(f"{self.name}'s board does not show {text!r}; it says: {self.text()}") from None

    def wait_sounding(self, kind: str, timeout_s: float = 30.0) -> None:
        """Wait until the page sounds: "emergency" or "check"."""
        try:
            self.page.locator(f"body[data-sound={kind}]").wait_for(timeout=timeout_s * 1000)
        except BrowserFailure:
            raise BrowserError(f"{self.name}'s board does not sound {kind}; it says: {self.text()}") from None

    def touch(self, label: str) -> float:
        """Touch the button with this label; return the time of day just before."""
        button = self.page.locator(".answers button", has_text=label).first
        try:
            button.click(trial=True)
            at_unix_s = time.time()
            button.click()
        except BrowserFailure:
            raise BrowserError(f"{self.name}'s board has no button {label!r}; it says: {self.text()}") from None
        return at_unix_s

    def text(self) -> str:
        """Return all that the page says, on one line."""
        return " · ".join(self.page.inner_text("body").split("\n"))

    def shot(self, path: Path) -> None:
        """Write what the page shows as a PNG."""
        self.page.screenshot(path=path)


def chromium() -> str:
    """Return the path of Debian's or Raspberry Pi OS's Chromium; raises `BrowserError` when there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise BrowserError("no Chromium here; run `sudo apt install chromium`")


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    # Chromium keeps crash reports and looks for sound in the user's own folders, profile or not: give it others
    with tempfile.TemporaryDirectory(prefix="stayby-browser-") as home, sync_playwright() as playwright:
        folders = {**os.environ, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "PULSE_RUNTIME_PATH": home}
        try:
            running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS, env=folders)
        except BrowserFailure as error:
            raise BrowserError(f"{chromium()} does not start: {str(error).splitlines()[0]}") from None
        try:
            yield running
        finally:
            running.close()


def open_phone(running: Browser, url: str, name: str) -> Phone:
    """Open a board as on a phone, by an invitation or signed in already, and wait until it is connected."""
    page = running.new_page(viewport=PHONE, has_touch=True)
    page.add_init_script(WATCH_PAINTING)
    page.goto(url)
    phone = Phone(page, name)
    try:
        if "/invite/" in url:
            page.locator("#let-me-in").click()
        page.locator("body:not(.down)").wait_for(timeout=CONNECT_S * 1000)
    except BrowserFailure:
        raise BrowserError(f"{name}'s board is not connected; it says: {phone.text()}") from None
    return phone
