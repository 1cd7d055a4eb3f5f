"""The status page in a real browser, while a real episode is enlarged.

Debian's chromium, driven by Playwright; axe-core judges how accessible it is (`make test-all` installs all three).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.asking import page_address
from daemon.config import load_config
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture
from training.sample import write_episode

sync_api = pytest.importorskip("playwright.sync_api", reason="make test-all installs it")
CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parent.parent / ".work/axe/node_modules/axe-core/axe.min.js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning:playwright"),
]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PATIENCE_MS = 180_000
# slow on purpose: the denoise of this mode costs more than the network
WATCHED = CONFIG.replace("web: false", "web: {port: 0}").replace(
    "model: bicubic", "model: bicubic, mode: double-enlarge"
)
AXE_RUN = """async () => (await axe.run()).violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => `${found.id}: ${found.nodes.map((node) => node.target + " " + node.failureSummary).join(" | ")}`)"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceRunner]:
    """One that has a failure behind it and an episode of a few minutes before it."""
    base = tmp_path_factory.mktemp("browser")
    with ServiceRunner(base, WATCHED) as runner:
        (runner.inbox / "notes.png").write_text("no picture")
        runner.start()
        runner.wait_for(failed=1)
        write_episode(base / "drawn.mkv", seconds=2, codec="x264", preset="ultrafast")
        for number in (1, 2, 3):
            loop(base / "drawn.mkv", runner.inbox / f"Umi no Oto - 0{number}.mkv", times=20 + number)
        eventually(lambda: (runner.status()["running"] or {}).get("glimpse") is not None, patience_s=300)
        yield runner


def loop(source: Path, target: Path, *, times: int) -> None:
    """The pictures of an episode over and over: drawing as many would take longer than the test."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-stream_loop", str(times - 1), "-i", str(source), "-map", "0:v:0", "-c", "copy"]
        + [str(target)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser writes to its console: a policy that was broken, a script that failed. Nothing, in the end."""
    found: list[str] = []
    yield found
    assert found == []


def _open(browser: Any, complaints: list[str], **options: Any) -> Any:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def _entrance(service: ServiceRunner) -> str:
    return page_address(load_config(service.config))


def test_who_looks_on_sees_the_work_move_and_cannot_steer(
    service: ServiceRunner, browser: Any, complaints: list[str]
) -> None:
    page = _open(browser, complaints)
    page.goto(_entrance(service).partition("/enter")[0])
    page.get_by_role("heading", name="Umi no Oto").wait_for()
    before = page.locator("#bar").evaluate("bar => bar.value")
    page.wait_for_function("before => document.querySelector('#bar').value > before", arg=before)
    assert page.locator("[data-live=speed]").inner_text().endswith("frames/s")
    assert page.locator("[data-live=count]").inner_text().endswith(f" of {service.status()['running']['total']:,}")
    assert page.locator("form[action^='/do/']").count() == 0
    refused = page.request.post(page.url + "do/pause", form={"form": ""})
    assert refused.status == 401
    assert service.status()["halt"] is None
    page.context.close()


def test_the_slider_divides_before_and_after(service: ServiceRunner, browser: Any, complaints: list[str]) -> None:
    page = _open(browser, complaints)
    page.goto(_entrance(service))
    divide = page.get_by_role("slider")
    divide.wait_for()
    address = page.locator("#look svg.before image").get_attribute("href")
    picture = page.request.get(page.url.rstrip("/") + address)
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.body().startswith(b"\xff\xd8\xff")
    shown = "() => getComputedStyle(document.querySelector('#look svg.before')).clipPath"
    half = page.evaluate(shown)
    divide.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert divide.input_value() == "70"
    assert page.evaluate(shown) != half
    page.wait_for_function(
        "old => document.querySelector('#look svg.before image').getAttribute('href') !== old", arg=address
    )
    assert divide.input_value() == "70", "a new look leaves the slider where it is"
    page.context.close()


def test_with_the_token_it_pauses_goes_on_and_retries(
    service: ServiceRunner, browser: Any, complaints: list[str]
) -> None:
    page = _open(browser, complaints)
    page.goto(_entrance(service))
    assert "token" not in page.url
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("heading", name="Paused").wait_for()
    assert page.get_by_role("status").inner_text() == "Paused."
    assert service.status()["halt"]["by"] == "user"
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("heading", name="Enlarging").wait_for()
    assert service.status()["halt"] is None
    failed = service.status()["failed"][0]["job"]
    page.get_by_role("button", name="Retry notes.png").click()
    page.get_by_text("Queued again.").wait_for()
    assert failed in [job["job"] for job in service.status()["queued"]]
    page.get_by_role("button", name="To the front notes.png").click()
    page.get_by_text("Moved to the front.").wait_for()
    assert service.status()["queued"][0]["job"] == failed
    page.context.close()


def test_without_javascript_everything_is_there_and_works(
    service: ServiceRunner, browser: Any, complaints: list[str]
) -> None:
    page = _open(browser, complaints, java_script_enabled=False)
    page.goto(_entrance(service))
    page.get_by_role("heading", name="Umi no Oto").wait_for()
    assert page.locator("#look svg").count() == 2
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused.", exact=True).wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Work goes on.").wait_for()
    assert service.status()["halt"] is None
    page.context.close()


def test_a_preview_is_made_and_acts_for_nobody(tmp_path: Path, browser: Any, complaints: list[str]) -> None:
    with ServiceRunner(tmp_path, CONFIG.replace("web: false", "web: {port: 0}")).start() as service:
        page = _open(browser, complaints)
        page.goto(_entrance(service))
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("Paused.", exact=True).wait_for()
        write_picture(service.inbox / "cel.png")
        page.get_by_role("link", name="cel.png").click()
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("The preview is being made.").wait_for()
        page.get_by_role("link", name="Some of its frames by every model").click()  # it comes without loading again
        page.get_by_role("slider").wait_for()
        assert page.evaluate("() => self.origin") == "null"
        assert page.evaluate("() => fetch('/api/v1/status').then(() => 'read', () => 'refused')") == "refused"
        assert page.locator(".pair img.right").evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
        page.context.close()
    assert all("api/v1/status" in complaint for complaint in complaints), "of what the test tried, and nothing else"
    complaints.clear()


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: make test-browser")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 1180), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing_serious(
    service: ServiceRunner, browser: Any, complaints: list[str], scheme: str, width: int
) -> None:
    page = _open(browser, complaints, color_scheme=scheme, viewport={"width": width, "height": 844})
    page.goto(_entrance(service))
    base = page.url.rstrip("/")
    for path in ("/", "/queue", "/history", "/jobs/1", "/jobs/2"):
        page.goto(base + path)
        page.evaluate(AXE.read_text())
        assert page.evaluate(AXE_RUN) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} scrolls sideways"
    page.context.clear_cookies()
    page.goto(base + "/enter")
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    page.context.close()
