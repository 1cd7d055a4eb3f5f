"""The status page of the real service: who may look, who may steer, what is shown, and that nothing waits for it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.asking import page_address
from daemon.config import load_config
from daemon.web.api import ROUTES
from daemon.web.operations import OPERATIONS
from daemon.web.schemas import describe
from tests import media
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture
from tests.web_client import WebClient

WEB = CONFIG.replace("web: false", "web: {port: 0}")
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}.png"
PAGES = (
    "/",
    "/queue",
    "/history",
    "/jobs/1",
    "/enter",
    "/events",
    "/glimpse/1/1.jpg",
    "/jobs/1/preview",
    "/static/style.css",
)
MACHINES = ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/status", "/api/v1/nothing", "/nothing")


def client_of(service: ServiceRunner) -> WebClient:
    """With the token, as `kakudai status --url` tells it."""
    address, _, token = page_address(load_config(service.config)).partition("/enter?token=")
    return WebClient(address, token)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceRunner]:
    """One service with a delivered picture and a failure of a hostile name; tests leave it as it was."""
    with ServiceRunner(tmp_path_factory.mktemp("web"), WEB) as runner:
        write_picture(runner.inbox / "cel.png")
        (runner.inbox / HOSTILE).write_text("no picture")
        runner.start()
        runner.wait_for(delivered=1, failed=1)
        yield runner


@pytest.fixture
def web(service: ServiceRunner) -> WebClient:
    return client_of(service)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_a_foreign_host_is_refused_on_everything(web: WebClient, host: str) -> None:
    web.enter()
    for path in (*PAGES, *MACHINES):
        assert web.get(path, host=host, authorization=f"Bearer {web.token}").status == 403, path
    for name, operation in OPERATIONS.items():
        address = "/api/v1" + operation.path(name).replace("{job}", "1")
        assert web.ask("POST", address, b"{}", host=host).status == 403
        assert web.form(f"/do/{name}", {}, host=host).status == 403
    refused = web.get("/api/v1/status", host=host)
    assert set(refused.json) == {"error", "remedy"}


def test_every_answer_binds_the_browser(web: WebClient) -> None:
    for path in (*PAGES[:5], "/static/page.js", *MACHINES):
        headers = web.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert "style=" not in web.get("/").text
    assert "no-store" in web.get("/").headers["cache-control"]


def test_looking_is_free_on_this_machine_and_steering_is_not(web: WebClient, service: ServiceRunner) -> None:
    assert web.get("/").status == 200
    assert "/do/" not in web.get("/").text
    for name, operation in OPERATIONS.items():
        address = "/api/v1" + operation.path(name).replace("{job}", "1")
        for authorization in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {web.token}"}):
            refused = web.ask("POST", address, b'{"jobs": null}', **authorization)
            assert refused.status == 401
            assert "kakudai status --url" in refused.json["remedy"]
        assert web.form(f"/do/{name}", {"all": "1"}).status == 401
    assert service.count("failed") == 1
    assert service.status()["halt"] is None


def test_the_api_pauses_and_lets_go_on(web: WebClient, service: ServiceRunner) -> None:
    assert web.order("pause", reason="film night").json["paused"]["reason"] == "film night"
    assert service.status()["halt"]["reason"] == "film night"
    assert web.get("/api/v1/status").json["halt"]["reason"] == "film night"
    assert "film night" in web.get("/").text
    assert web.order("resume").json == {"paused": None}
    assert service.status()["halt"] is None


def test_the_token_becomes_a_session_that_only_our_forms_can_use(web: WebClient, service: ServiceRunner) -> None:
    entered = web.enter()
    assert entered.status == 303
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "samesite=strict" in entered.headers["set-cookie"].lower()
    assert web.token not in entered.headers["set-cookie"]
    key = web.form_key()
    assert web.form("/do/pause", {}).status == 403, "a form without its key"
    assert web.form("/do/pause", {"form": key}, sec_fetch_site="cross-site").status == 403
    assert web.form("/do/pause", {"form": key}, sec_fetch_site="same-site").status == 403, "another port is another"
    assert web.form("/do/pause", {"form": key}, origin="http://evil.example").status == 403
    assert web.form("/do/pause", {"form": key}, cookie=web.cookie[:-1] + "x").status == 401
    assert service.status()["halt"] is None
    done = web.form("/do/pause", {"form": key, "back": "//evil.example/"})
    assert (done.status, done.headers["location"]) == (303, "/")
    assert service.status()["halt"] is not None
    assert "Paused." in web.get("/").text
    assert "Paused." not in web.get("/").text, "told once"
    web.form("/do/resume", {"form": key})
    assert service.status()["halt"] is None
    assert web.form("/leave", {"form": key}).headers["set-cookie"].startswith(web.cookie.partition("=")[0] + '=""')


def test_the_wrong_token_opens_nothing(web: WebClient) -> None:
    for answer in (web.get("/enter?token=wrong"), web.form("/enter", {"token": "wrong"})):
        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert "not the token" in answer.text
    assert web.form("/enter", {"token": web.token}).status == 303


def test_a_failed_job_is_retried_by_its_button(web: WebClient, service: ServiceRunner) -> None:
    web.enter()
    failed = service.status()["failed"][0]
    assert f'name="job" value="{failed["job"]}"' in web.get("/").text
    done = web.form("/do/retry", {"form": web.form_key(), "job": str(failed["job"]), "back": "/history?state=failed"})
    assert done.headers["location"] == "/history?state=failed"
    eventually(lambda: len(web.get(f"/api/v1/jobs/{failed['job']}").json["attempts"]) == 2)
    service.wait_for(failed=1, queued=0)
    web.form("/do/retry", {"form": web.form_key(), "job": "999"})
    assert "there is no such job" in web.get("/").text
    assert web.order("retry", jobs=[999]).status == 409


def test_a_hostile_name_is_text(web: WebClient, service: ServiceRunner) -> None:
    web.enter()
    job = service.status()["failed"][0]["job"]
    for path in ("/", "/history", f"/jobs/{job}", "/history?search=%3Cimg&state=%22%3E%3Cscript%3E"):
        page = web.get(path).text
        assert "onerror=alert(1)&gt;" in page
        assert "<img src=x" not in page
        assert "<script>" not in page
        assert "49.png" not in page


def test_no_address_reaches_the_file_system(web: WebClient) -> None:
    for path in ("/static/../server.py", "/static/%2e%2e/app.py", "/glimpse/../../etc/passwd", "/static/style.css%00"):
        assert web.get(path).status == 404
    assert web.get("/glimpse/1/1.jpg").status == 404
    assert web.get("/static/style.css").headers["content-type"].startswith("text/css")


def test_the_page_tells_what_there_is(web: WebClient, service: ServiceRunner) -> None:
    page = web.get("/").text
    for words in ("Nothing to do", "cel.png", "1 delivered", "1 failed", "watched", "free of", "msrcnn-2x"):
        assert words in page
    job = service.status()["delivered"][0]["job"]
    page = web.get(f"/jobs/{job}").text
    assert "48x32 → 96x64" in page
    assert "SHA-256" in page
    assert web.get("/jobs/999").status == 404
    assert web.get("/jobs/99999999999999999999").status == 400


def test_the_history_is_searched_by_name_and_state(web: WebClient) -> None:
    assert "cel.png" in web.get("/history?search=CEL").text
    assert "cel.png" not in web.get("/history?search=c_l").text, "no wildcards"
    assert "cel.png" not in web.get("/history?state=failed").text
    assert web.get("/history?after=nonsense").status == 400


def test_the_api_is_what_its_description_says(web: WebClient) -> None:
    described = web.get("/api/v1/openapi.json").json
    assert described == describe("/api/v1")
    routes = {
        (route.path.replace(":int", ""), method.lower())
        for route in ROUTES
        for method in set(route.methods or ()) - {"HEAD"}
    }
    assert routes == {(path, method) for path, methods in described["paths"].items() for method in methods}
    for path, methods in described["paths"].items():
        if "get" not in methods or path.endswith("openapi.json"):
            continue
        answer = web.get(path.replace("{job}", "1"))
        assert answer.status == 200
        reference = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        schema = described["components"]["schemas"][reference.rpartition("/")[2]]
        assert set(schema["required"]) <= set(answer.json), path


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("pause", b"{"),
        ("pause", b"[1]"),
        ("pause", b'{"until": 7}'),
        ("retry", b"{}"),
        ("cancel", b'{"jobs": []}'),
        ("cancel", b'{"jobs": ["1; DROP TABLE jobs"]}'),
        ("priority", b'{"jobs": [1], "priority": 1e99}'),
        ("front", b'{"jobs": [1' + b"0" * 70_000 + b"]}"),
    ],
)
def test_nonsense_is_told_so(web: WebClient, name: str, body: bytes) -> None:
    answer = web.ask("POST", f"/api/v1/{name}", body, authorization=f"Bearer {web.token}")
    assert answer.status == 400
    assert set(answer.json) >= {"error", "remedy"}


def test_figures_for_prometheus(web: WebClient) -> None:
    families = {family.name: family for family in text_string_to_metric_families(web.get("/metrics").text)}
    assert all(name.startswith("kakudai_") for name in families)
    jobs = {sample.labels["state"]: sample.value for sample in families["kakudai_jobs"].samples}
    assert (jobs["delivered"], jobs["failed"], jobs["queued"]) == (1, 1, 0)
    attempts = {sample.labels["outcome"]: sample.value for sample in families["kakudai_attempts"].samples}
    assert attempts["done"] == 1
    assert attempts["failed"] >= 1
    assert families["kakudai_frames"].samples[0].value == 1
    assert all(sample.value > 1 << 20 for sample in families["kakudai_disk_free_bytes"].samples)
    assert web.get("/healthz").text == "ok\n"
    assert web.get("/readyz").text == "ready\n"


def test_nobody_waits_for_slow_and_silent_clients(web: WebClient, service: ServiceRunner) -> None:
    place = urlsplit(web.address)
    silent = [socket.create_connection((place.hostname, place.port)) for _ in range(60)]
    for number, client in enumerate(silent):
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if number % 2 else b"X-Slow: "))
    assert service.status()["service"]["runs"] is True
    write_picture(service.inbox / "late" / "cel.png", seed=7)
    service.wait_for(delivered=2)
    assert web.get("/").status == 200
    for client in silent:
        client.close()


def test_the_token_is_for_the_owner_alone(web: WebClient, service: ServiceRunner) -> None:
    path = service.base / "state" / "web-token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() == web.token
    assert web.token not in str(service.status())
    assert web.token not in service.log()


def test_what_a_delivery_lacks_is_on_its_page_and_in_the_log(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, WEB) as service:
        for name in ("a.mkv", "b.mkv"):
            media.captioned(tmp_path / name).rename(service.inbox / name)
        service.start()
        for job in service.wait_for(delivered=2)["delivered"]:
            assert (
                "the closed captions inside its video are not carried"
                in client_of(service).get(f"/jobs/{job['job']}").text
            )
        assert service.log().count("the closed captions inside its video are not carried over") == 2


def test_reload_moves_the_page_and_turns_it_off(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, WEB).start() as service:
        before = client_of(service)
        service.config.write_text(CONFIG.replace("web: false", "web: {socket: page.sock}"))
        assert service.process
        os.kill(service.process.pid, signal.SIGHUP)
        eventually(lambda: service.status()["web"]["address"] == f"unix:{tmp_path / 'page.sock'}")
        with pytest.raises(ConnectionRefusedError):
            before.get("/")
        after = WebClient(f"unix:{tmp_path / 'page.sock'}", before.token)
        assert (tmp_path / "page.sock").stat().st_mode & 0o777 == 0o660
        assert after.get("/").status == 200
        assert after.get("/", host="evil.example").status == 403
        assert after.order("pause").status == 200
        service.config.write_text(CONFIG)
        assert service.process
        os.kill(service.process.pid, signal.SIGHUP)
        eventually(lambda: service.status()["web"]["address"] is None)
        assert not (tmp_path / "page.sock").exists()
        assert service.status()["web"]["reason"] is None
        assert service.stop() == 0


def test_a_port_in_use_is_told_and_stops_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = WEB.replace("port: 0", f"port: {port}")
        with ServiceRunner(tmp_path, config).start() as service:
            told = service.status()["web"]
            assert told["address"] is None
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in told["reason"]
            assert "another port" in told["remedy"]
            assert "ERROR the status page cannot listen" in service.log()
            write_picture(service.inbox / "cel.png")
            service.wait_for(delivered=1)


def test_systemd_hands_the_port_over(tmp_path: Path) -> None:
    code = (
        "import os, socket, sys\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "os.dup2(listening.fileno(), 3)\n"
        "os.set_inheritable(3, True)\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with ServiceRunner(tmp_path, WEB, wrapper=[sys.executable, "-c", code]).start() as service:
        web = client_of(service)
        assert web.get("/").status == 200
        assert service.process
        service.config.write_text(WEB.replace("port: 0", "port: 1"))
        os.kill(service.process.pid, signal.SIGHUP)
        eventually(lambda: service.log().count("the status page is at") == 2)
        assert web.get("/").status == 200, "what systemd opened stays open"
        assert service.stop() == 0


def test_from_elsewhere_looking_needs_the_token(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, WEB.replace("{port: 0}", '{host: "0.0.0.0", port: 0}')).start() as service:
        web = client_of(service)
        assert (web.get("/").status, web.get("/").headers["location"]) == (303, "/enter")
        for path in ("/api/v1/status", "/api/v1/openapi.json", "/metrics", "/events", "/glimpse/1/1.jpg"):
            assert web.get(path).status == 401, path
        assert web.get("/enter").status == web.get("/healthz").status == web.get("/readyz").status == 200
        assert web.get("/api/v1/status", authorization=f"Bearer {web.token}").status == 200
        assert web.get("/metrics", authorization=f"Bearer {web.token}").status == 200
        web.enter()
        assert web.get("/").status == 200
        assert "put a proxy with TLS before it" in service.log()
