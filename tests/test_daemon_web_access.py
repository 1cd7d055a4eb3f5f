"""Who may look and steer: tokens, sessions, names."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from daemon.config_model import Web
from daemon.web.access import SESSION_S, Access, host_name, load_token
from daemon.web.listen import is_local


def _access(web: Web | None = None, *, token: str = "t" * 43, now: float = 0.0, local: bool = True) -> Access:
    return Access(token, web=web or Web(), local=local, state_dir=Path("/state"), now=lambda: now)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost.:8640", "localhost"),
        ("127.0.0.1:8640", "127.0.0.1"),
        ("[::1]:8640", "::1"),
        ("kakudai.example.org", "kakudai.example.org"),
        ("", None),
        ("::1", None),
        ("a b", None),
        ("evil.example@localhost", None),
        ("localhost:8640:1", None),
        ("localhost/", None),
        ("löcalhost", None),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str | None) -> None:
    assert host_name(header) == name


def test_it_answers_to_its_own_names_alone() -> None:
    access = _access(Web(host="0.0.0.0", names=("Kakudai.example.org",)))
    for good in ("localhost:1", "127.0.0.1", "[::1]", "kakudai.example.org:443", "192.0.2.7:8640"):
        assert access.knows_host(good, own_address="192.0.2.7"), good
    for bad in ("example.org", "kakudai.example.org.evil.example", "192.0.2.8", ""):
        assert not access.knows_host(bad, own_address="192.0.2.7"), bad


@pytest.mark.parametrize(("address", "is_open"), [("127.0.0.1", True), ("127.0.0.53", True), ("0.0.0.0", False)])
def test_looking_needs_the_token_where_others_can_connect(address: str, is_open: bool) -> None:
    with socket.create_server((address, 0)) as listening:
        assert is_local(listening) is is_open
    assert _access(local=is_open).reading_is_open is is_open
    assert not _access(Web(names=("kakudai.example.org",)), local=is_open).reading_is_open, "a proxy brings others"


def test_a_session_ends_in_time_and_with_its_token() -> None:
    session = _access().new_session()
    assert _access().is_session(session)
    assert _access(now=SESSION_S - 1).is_session(session)
    assert not _access(now=SESSION_S + 1).is_session(session)
    assert not _access(token="u" * 43).is_session(session)
    until, _, proof = session.partition(".")
    for forged in ("", ".", until, f"{int(until) + 9}.{proof}", f"{until}.{'0' * 64}", f"x.{proof}", "\udcff.é"):
        assert not _access().is_session(forged)


def test_a_form_belongs_to_its_session() -> None:
    access = _access()
    key = access.form_key("one")
    assert access.is_form_key(key, "one")
    assert not access.is_form_key(key, "two")
    assert not access.is_form_key("", "one")
    assert not access.is_token(key)


def test_a_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    first = load_token(tmp_path)
    path = tmp_path / "web-token"
    assert load_token(tmp_path) == first
    path.chmod(0o644)
    second = load_token(tmp_path)
    assert second != first
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("short")
    assert len(load_token(tmp_path)) == 43
