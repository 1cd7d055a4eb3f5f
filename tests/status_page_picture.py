"""docs/status-page.webp: the page while a drawn episode is enlarged, in light and in dark. `make status-page`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from daemon.asking import page_address
from daemon.config import load_config
from tests.service_runner import ServiceRunner, eventually
from tests.test_daemon_web_browser import FLAGS, loop
from training.sample import write_episode

PICTURE = Path(__file__).parent.parent / "docs" / "status-page.webp"
WIDTH, HEIGHT = 900, 1260
CONFIG = """
state_dir: state
device: cpu
rescan_s: 1
web: {port: 0}
profiles:
  television: {model: msrcnn, encoder: {name: x265, preset: fast}}
folders:
  - {input: in, output: out, profile: television, settle_s: 0.2}
"""


def main() -> None:
    """Draw, enlarge, look, write."""
    with tempfile.TemporaryDirectory(prefix="kakudai-") as folder, ServiceRunner(Path(folder), CONFIG) as service:
        write_episode(Path(folder) / "drawn.mkv", seconds=4, codec="x264", preset="ultrafast")
        season = service.inbox / "Umi no Oto"
        season.mkdir()
        for number in range(1, 5):
            loop(Path(folder) / "drawn.mkv", season / f"Umi no Oto - {number:02}.mkv", times=40 + number)
        (season / "Umi no Oto - 05.mkv").write_bytes((season / "Umi no Oto - 01.mkv").read_bytes()[:90_000])
        service.start()
        eventually(lambda: ((service.status()["running"] or {}).get("glimpse") or 0) > 60, patience_s=300)
        address = page_address(load_config(service.config))
        halves = [_look(address, scheme) for scheme in ("light", "dark")]
    assert cv2.imwrite(str(PICTURE), np.concatenate(halves, axis=1), [cv2.IMWRITE_WEBP_QUALITY, 80])
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


def _look(address: str, scheme: str) -> np.ndarray:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        page = browser.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT}).new_page()
        page.goto(address)
        page.locator(".pair.sliding").wait_for()
        page.locator("[data-live=speed]", has_text="frames/s").wait_for()
        picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        browser.close()
    assert picture is not None
    return picture


if __name__ == "__main__":
    main()
