"""Questions from another thread, answered in the loop's."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from daemon.web.bridge import Bridge


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as found:
        yield found


def _turn(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select(10):
        key.data()


def test_a_question_wakes_the_loop_and_is_answered_in_its_thread(selector: selectors.BaseSelector) -> None:
    bridge = Bridge(selector, lambda request: {**request, "thread": threading.get_ident()})
    found: list[Mapping[str, Any]] = []
    asker = threading.Thread(target=lambda: found.append(bridge.ask({"do": "status"}).result(10)))
    asker.start()
    _turn(selector)
    asker.join()
    assert found == [{"do": "status", "thread": threading.get_ident()}]
    bridge.close()


def test_many_questions_take_turns_with_the_loop(selector: selectors.BaseSelector) -> None:
    bridge = Bridge(selector, lambda request: request)
    futures: list[Future[Mapping[str, Any]]] = [bridge.ask({"number": number}) for number in range(20)]
    futures[3].cancel()
    _turn(selector)
    done = sum(future.done() for future in futures)
    assert 0 < done < 20
    while not all(future.done() for future in futures):
        _turn(selector)
    bridge.close()


def test_a_fault_is_the_askers_and_the_loop_goes_on(selector: selectors.BaseSelector) -> None:
    def fail(request: Mapping[str, Any]) -> Mapping[str, Any]:
        raise KeyError(request["do"])

    bridge = Bridge(selector, fail)
    future = bridge.ask({"do": "x"})
    _turn(selector)
    with pytest.raises(KeyError):
        future.result(0)
    bridge.close()


def test_who_asks_a_closed_service_is_let_go(selector: selectors.BaseSelector) -> None:
    bridge = Bridge(selector, lambda request: request)
    waiting = bridge.ask({"do": "status"})
    bridge.close()
    with pytest.raises(CancelledError):
        waiting.result(0)
