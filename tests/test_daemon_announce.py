"""Notifications, sent for real by Apprise to a receiver on the loopback: few, complete, without secrets in the log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.announce import Announcer
from daemon.announce_process import UnusableAddress, addresses
from daemon.check import findings_for
from daemon.config import load_config, parse_config
from daemon.config_model import Config, News, Notify
from daemon.config_show import show
from daemon.ledger_queries import Paused
from tests import media
from tests.receiver import Receiver
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def _announcer(tmp_path: Path, *urls: str, on: tuple[News, ...] = tuple(News)) -> tuple[Announcer, _Clock]:
    clock = _Clock()
    config = Config(path=tmp_path / "c.yaml", state_dir=tmp_path, notify=Notify(urls, on))
    return Announcer(config, clock=clock), clock


def _finish(announcer: Announcer) -> None:
    """Until the message on its way has come to its end."""

    def over() -> bool:
        announcer.tick()
        return not announcer.sending

    eventually(over)


def test_the_service_tells_what_was_done_and_what_failed(tmp_path: Path, receiver: Receiver) -> None:
    """The address is in a file, its secret in the environment; neither reaches the log."""
    (tmp_path / "addresses").write_text(f"# ours\njson://127.0.0.1:{receiver.port}/${{HOOK_SECRET}}\n")
    config = f"notify: ['file:{tmp_path}/addresses']\n{CONFIG}"
    with ServiceRunner(tmp_path, config) as service:
        write_picture(service.inbox / "good.png")
        (service.inbox / "bad.png").write_text("no picture")
        service.start(HOOK_SECRET="hunter2")
        service.wait_for(delivered=1, failed=1)
        service.stop()  # what is due is sent at the end
        log = service.log()
    (message,) = receiver.messages
    assert receiver.paths == ["/hunter2"]
    assert "1 done, 1 failed, empty" in message["title"]
    assert "done: good [64p].png (job " in message["message"]
    assert "failed: bad.png (job " in message["message"]
    assert "hunter2" not in log
    assert str(receiver.port) not in log


@pytest.mark.parametrize("reachable", [True, False])
def test_ten_thousand_jobs_are_a_few_messages(
    tmp_path: Path, receiver: Receiver, reachable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """In an hour; where nobody takes them, the log says so now and then, without the address."""
    port = receiver.port if reachable else 1
    announcer, clock = _announcer(tmp_path, f"json://127.0.0.1:{port}/secret")
    for number in range(10_000):
        announcer.note(News.DONE, f"Title - {number:05}.mkv")
        clock.now += 0.36
        _finish(announcer)
    announcer.close()
    if reachable:
        assert 3 <= len(receiver.messages) <= 12
        told = sum(int(message["title"].split(": ")[1].split()[0]) for message in receiver.messages)
        assert told == 10_000
        assert all(len(message["message"]) < 1000 for message in receiver.messages)
        assert "and " in receiver.messages[-1]["message"]
    else:
        assert 1 <= len(caplog.records) <= 12
        assert "notify.urls[0]: the message was not taken" in caplog.text
    assert "secret" not in caplog.text
    assert media.left_behind() == ["receiver"]


def test_only_what_is_wanted_and_each_wait_once(tmp_path: Path, receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}"
    announcer, clock = _announcer(tmp_path, url, on=(News.PAUSED, News.EMPTY))
    announcer.note(News.DONE, "a.mkv")
    for free in ("1.2 GB", None, "950 MB"):  # a pause ends by itself now and then, and begins again
        waits = {Path(f"/out{n}"): (f"{free} are free", "free some") for n in (1, 2)} if free else {}
        announcer.look(waits=waits, paused=Paused("gaming", 0.0), counts={"queued": 3})
        clock.now += 200
        _finish(announcer)
    announcer.look(waits={}, paused=None, counts={"delivered": 3})
    announcer.look(waits={}, paused=None, counts={"delivered": 3})
    clock.now += 60
    _finish(announcer)
    _finish(announcer)
    announcer.close()
    assert [message["message"].splitlines() for message in receiver.messages] == [
        [
            *(f"paused: /out{n}: 1.2 GB are free; free some" for n in (1, 2)),
            "paused: all work: gaming; kakudai resume lets it go on",
        ],
        ["empty: nothing is queued any more"],
    ]


def test_a_receiver_that_never_answers_holds_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(silent=True) as receiver:
        announcer, clock = _announcer(tmp_path, f"json://127.0.0.1:{receiver.port}")
        announcer.note(News.FAILED, "a.mkv")
        clock.now += 10
        announcer.tick()
        assert receiver.asked.wait(60)
        announcer.tick()
        on_its_way = [announcer.sending]
        clock.now += 60
        announcer.tick()
        on_its_way.append(announcer.sending)
        assert on_its_way == [True, False]
        assert "it took longer than 60 s; tried again" in caplog.text
        for _ in range(2):
            clock.now += 120
            announcer.tick()
            clock.now += 60
            announcer.tick()
        assert "given up" in caplog.text
        clock.now += 1000
        announcer.tick()
        assert not announcer.sending
        announcer.close()


def test_secrets_come_from_the_environment_or_from_files(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("# mine\n\njson://${HOST}/a\n  mailto://b  \n")
    found = list(addresses(f"file:{tmp_path}/urls", {"HOST": "h"}))
    assert found == ["json://h/a", "mailto://b"]
    assert list(addresses("json://${A}:${B}", {"A": "1", "B": "2"})) == ["json://1:2"]
    (tmp_path / "empty").touch()
    for wrong in ("json://${NONE}", f"file:{tmp_path}/none", f"file:{tmp_path}/empty"):
        with pytest.raises(UnusableAddress) as caught:
            list(addresses(wrong, {}))
        assert str(tmp_path) not in str(caught.value)


def test_the_configuration_of_notifications(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("notify: {urls: ['json://${TOKEN}@h'], on: [failed, paused]}\n")
    config = load_config(path)
    assert config.notify == Notify(("json://${TOKEN}@h",), (News.FAILED, News.PAUSED))
    path.write_text(show(config))
    assert load_config(path).notify == config.notify
    for wrong, told in (
        ("notify: [somebody]", "notify: number 1 is no address"),
        ("notify: {on: [failed]}", "notify.urls: is missing"),
        ("notify: {urls: ['json://h'], on: [fail]}", 'notify.on: "fail" is not one of'),
    ):
        problems: list[str] = []
        parse_config(wrong, path=path, problems=problems)
        assert problems[0].startswith(told)


def test_check_sends_a_message(tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"notify: ['json://127.0.0.1:{receiver.port}']\n")
    (finding,) = [one for one in findings_for(path, send=True) if one.what == "notify"]
    assert (finding.state, finding.told) == ("ok", "1 address, a message was sent")
    assert "kakudai check --notify" in receiver.messages[0]["message"]
    path.write_text("notify: ['json://127.0.0.1:1/secret', 'nonsense://x']\n")
    (finding,) = [one for one in findings_for(path, send=True) if one.what == "notify"]
    assert finding.state == "missing"
    assert "notify.urls[0]: the message was not taken; notify.urls[1]: is no address" in finding.told
    assert "secret" not in finding.told


def test_the_service_does_not_load_apprise(tmp_path: Path) -> None:
    program = "import sys, daemon.service; assert not {'apprise', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
    config = Config(path=tmp_path / "c.yaml", state_dir=tmp_path)
    announcer = Announcer(config, clock=_Clock())
    announcer.note(News.DONE, "nobody is told")
    announcer.reload(replace(config, notify=None))
    announcer.tick()
    assert not announcer.sending
