"""Who gets the next segment, whose fault a failure is, and what a worker keeps ready."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cluster.ready import Ready
from daemon.cluster.roster import Slot
from daemon.cluster.shares import AHEAD, Shares
from daemon.cluster.tries import MOST, Tries
from engine.settings import Device


def slots(nodes: int, each: int = 2) -> list[Slot]:
    return [Slot(f"node{node}", number, Device.GPU, 2, False) for node in range(nodes) for number in range(each)]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 20))
def test_an_episode_has_twice_its_even_share_on_as_few_nodes_as_hold_it(nodes: int, each: int, episodes: int) -> None:
    own = Shares("a", episodes).own(slots(nodes, each))
    share = min(nodes * each, -(-2 * nodes * each // episodes))
    assert len(set(own)) == share
    assert len({slot.node for slot in own}) == -(-share // each)


def test_two_episodes_at_once_use_every_worker_and_many_spread_over_all() -> None:
    there = slots(8)
    assert set(Shares("a", 2).own(there)) == set(there)
    used = Counter(slot for source in range(64) for slot in Shares(str(source), 16).own(there))
    assert set(used) == set(there)


def test_a_worker_has_one_segment_at_work_and_one_in_reserve_but_not_towards_the_end() -> None:
    there = slots(2)
    shares, load = Shares("a", 2), dict.fromkeys(there, 0)
    waiting = 20
    while (slot := shares.next(load, waiting)) is not None:
        load[slot] += 1
        waiting -= 1
    assert set(load.values()) == {AHEAD}
    load = dict.fromkeys(there, 1)
    assert shares.next(load, len(there)) is None  # whoever is free first begins with it


def test_workers_of_others_that_do_nothing_are_lent_until_they_have_work_of_their_own() -> None:
    there = slots(4)
    shares = Shares("a", 8)
    own = shares.own(there)
    load = dict.fromkeys(there, 0)
    assert shares.to_ask(load, 10) == []  # its own have room
    load |= dict.fromkeys(own, AHEAD)
    assert shares.next(load, 10) is None
    asked = shares.to_ask(load, 10)
    assert set(asked) == set(there) - set(own)
    shares.answered(asked[0], busy=0, mine=0)
    shares.answered(asked[1], busy=1, mine=0)
    assert shares.next(load, 10) == asked[0]
    load[asked[0]] = 1
    assert asked[0] in shares.to_ask(load, 0)  # asked again and again, as long as it is lent
    shares.answered(asked[0], busy=2, mine=1)
    assert shares.next(load, 10) is None


def test_a_segment_that_another_node_makes_puts_the_blame_on_the_first() -> None:
    tries = Tries()
    tries.failed(7, "a", "x265 died")
    assert [tries.may_go(7, node, {"a", "b"}) for node in "ab"] == [False, True]
    assert tries.may_go(7, "a", {"a"})  # there is nobody else
    assert tries.made(7, "b") == {"a": "x265 died"}
    assert tries.made(7, "b") == {}


def test_a_segment_that_nobody_can_make_is_hopeless_and_no_node_is_to_blame() -> None:
    tries = Tries()
    for node in ("a", "b"):
        tries.failed(7, node, "bad option")
        assert not tries.is_hopeless(7, {"a", "b"})
    tries.failed(7, "a", "bad option")
    assert tries.is_hopeless(7, {"a", "b"})
    assert not tries.is_hopeless(7, {"a", "b", "c"})  # one has not tried
    for _ in range(MOST):
        tries.failed(8, "a", "bad option")
    assert tries.is_hopeless(8, {"a"})
    assert tries.made(8, "a") == {}  # its own failures are no other's


def test_what_is_ready_is_built_once_and_closed_after_its_last_use() -> None:
    closed: list[str] = []
    ready: Ready[str] = Ready(1)

    def build(stack: ExitStack) -> str:
        stack.callback(closed.append, "one")
        return "one"

    inside, leave = threading.Event(), threading.Event()

    def use() -> None:
        with ready.use("one", build):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=use)
    thread.start()
    inside.wait()
    with ready.use("one", lambda _: "built again") as thing:
        assert thing == "one"
    with ready.use("two", lambda _: "two"):
        assert closed == []  # put out, but in use
    leave.set()
    thread.join()
    assert closed == ["one"]


def test_what_failed_is_not_used_again() -> None:
    ready: Ready[str] = Ready(2)
    with pytest.raises(ValueError, match="broken"), ready.use("one", lambda _: "one"):
        raise ValueError("broken")
    with ready.use("one", lambda _: "another") as thing:
        assert thing == "another"
