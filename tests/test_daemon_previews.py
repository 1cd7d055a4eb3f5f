"""Previews that the status page makes: by the real service, in a process of their own, shown in a sandbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.child import STATE_VARIABLE
from daemon.housekeeping import KEPT_PREVIEWS, PREVIEWS, trim_previews
from tests.service_runner import ServiceRunner, eventually, write_episode, write_picture
from tests.test_daemon_housekeeping import _Desk
from tests.test_daemon_web import WEB, client_of
from tests.web_client import WebClient

PATIENCE_S = 240.0
"""Seconds for every network on a loaded machine."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceRunner]:
    """All work is paused, and a picture waits."""
    with ServiceRunner(tmp_path, WEB).start() as runner:
        client_of(runner).order("pause")
        write_picture(runner.inbox / "cel.png")
        runner.wait_for(queued=1)
        yield runner


def preview_of(web: WebClient, job: int) -> dict[str, Any]:
    """As the API tells it; empty where there is none."""
    return dict(web.get(f"/api/v1/jobs/{job}").json["preview"] or {})


def order(web: WebClient, job: int, body: bytes = b"") -> Any:
    return web.ask("POST", f"/api/v1/jobs/{job}/preview", body, authorization=f"Bearer {web.token}")


def processes(service: ServiceRunner) -> list[int]:
    """Those that make previews for this service."""
    mark = f"{STATE_VARIABLE}={service.base / 'state'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found += [int(entry.name)] if b"daemon.preview_process" in (entry / "cmdline").read_bytes() else []
        except OSError:
            continue
    return found


def test_a_preview_by_its_button_before_the_job_begins(service: ServiceRunner) -> None:
    web = client_of(service)
    web.enter()
    job = service.status()["queued"][0]["job"]
    assert preview_of(web, job) == {}
    assert web.get(f"/jobs/{job}/preview").status == 404
    assert 'action="/do/preview"' in web.get(f"/jobs/{job}").text
    fields = {"form": web.form_key(), "job": str(job), "back": f"/jobs/{job}"}
    assert web.form("/do/preview", fields).headers["location"] == f"/jobs/{job}"
    eventually(lambda: preview_of(web, job)["state"] == "making")
    page = web.get(f"/jobs/{job}").text
    assert "Being made" in page
    assert 'action="/do/preview"' not in page
    assert order(web, job).json == {"jobs": [job], "refused": {}}, "asking twice makes one"
    web.order("resume")
    eventually(lambda: preview_of(web, job).get("state") == "ready", patience_s=PATIENCE_S)
    made = preview_of(web, job)
    service.wait_for(delivered=1)
    assert made["made"] <= web.get(f"/api/v1/jobs/{job}").json["attempts"][0]["started"], "no job begins beside it"
    assert f'href="{made["address"]}"' in web.get(f"/jobs/{job}").text
    shown = web.get(made["address"])
    assert shown.status == 200
    assert shown.text.startswith("<!doctype html>")
    assert "cel.png" in shown.text
    assert "bicubic, enlarge" in shown.text
    assert "msrcnn" in shown.text
    policy = shown.headers["content-security-policy"].split("; ")
    assert {"sandbox allow-scripts", "default-src 'none'", "img-src data:", "form-action 'none'"} <= set(policy)
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["x-frame-options"] == "DENY"
    assert order(web, job).status == 409
    assert order(web, job).json["refused"] == {str(job): "it is delivered"}
    kept = service.base / "state" / PREVIEWS / str(job) / "preview.html"
    kept.unlink()
    kept.symlink_to("/etc/hostname")
    assert web.get(made["address"]).status == 404, "no link is followed"


def test_what_fails_says_why_and_nothing_unasked_is_made(service: ServiceRunner) -> None:
    web = client_of(service)
    (service.inbox / "notes.png").write_text("no picture")
    service.wait_for(queued=2)
    picture, job = (job["job"] for job in service.status()["queued"])
    assert web.ask("POST", f"/api/v1/jobs/{job}/preview").status == 401
    assert 'action="/do/preview"' not in web.get(f"/jobs/{job}").text, "who looks on has no button"
    assert order(web, 999).status == 404
    assert order(web, job, b'{"job": 1}').status == 400
    assert preview_of(web, job) == {}
    assert order(web, job).status == 200
    eventually(lambda: preview_of(web, job)["state"] == "failed", patience_s=PATIENCE_S)
    failed = preview_of(web, job)
    assert failed["reason"]
    assert failed["remedy"] in web.get(f"/jobs/{job}").text
    order(web, picture)
    eventually(lambda: processes(service))
    os.kill(processes(service)[0], signal.SIGKILL)
    eventually(lambda: preview_of(web, picture)["state"] == "failed")
    assert "SIGKILL" in preview_of(web, picture)["reason"]
    assert service.count("queued") == 2, "the jobs themselves are as they were"
    (service.inbox / "notes.png").unlink()
    assert order(web, job).status == 409


def test_beside_a_job_it_is_last_in_line_and_it_ends_with_the_service(service: ServiceRunner) -> None:
    web = client_of(service)
    write_episode(service.inbox / "a.mkv", frames=2400, size="640x360")
    service.wait_for(queued=2)
    picture, episode = (job["job"] for job in service.status()["queued"])
    web.order("front", jobs=[episode])
    web.order("resume")
    eventually(lambda: service.status()["running"] is not None)
    order(web, picture)
    eventually(lambda: processes(service) and os.getpriority(os.PRIO_PROCESS, processes(service)[0]) >= 10)
    assert service.status()["running"]["job"] == episode
    assert service.status()["previews"]["making"] == picture
    (pid,) = processes(service)
    assert os.getsid(pid) == pid
    assert service.stop() == 0
    assert processes(service) == []


def test_few_previews_are_kept_and_none_without_its_job(tmp_path: Path) -> None:
    desk = _Desk(tmp_path)
    for number in range(KEPT_PREVIEWS + 3):
        desk.ended(f"{number}.png")
        place = tmp_path / PREVIEWS / str(number + 1)
        place.mkdir(parents=True)
        os.utime(place, (number, number))
    (tmp_path / PREVIEWS / "999").mkdir()
    trim_previews(desk.config, desk.ledger)
    kept = {int(place.name) for place in (tmp_path / PREVIEWS).iterdir()}
    assert kept == set(range(4, KEPT_PREVIEWS + 4))
    desk.ledger.close()
