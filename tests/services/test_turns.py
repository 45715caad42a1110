"""People who wait for the same thing go in the order in which they came, and know their place."""

from __future__ import annotations

import threading
import time

from medqlora.services.turns import Turns


def test_each_is_told_how_many_are_ahead_and_they_go_in_order() -> None:
    turns = Turns()
    first, second, third = (turns.take() for _ in range(3))
    assert [turns.ahead(one) for one in (first, second, third)] == [0, 1, 2]
    turns.leave(second)  # went away while waiting
    assert turns.ahead(third) == 1
    turns.leave(first)
    assert turns.ahead(third) == 0
    turns.leave(third)


def test_twenty_at_once_are_served_in_the_order_of_their_tickets() -> None:
    turns, served = Turns(), []
    tickets = [turns.take() for _ in range(20)]

    def wait_and_go(number: int) -> None:
        while turns.ahead(tickets[number], wait_seconds=5):
            pass
        served.append(number)
        turns.leave(tickets[number])

    threads = [threading.Thread(target=wait_and_go, args=(n,)) for n in reversed(range(20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert served == list(range(20))


def test_what_is_free_is_taken_and_what_is_not_is_left() -> None:
    turns = Turns()
    ticket = turns.take_if_free()
    assert ticket is not None
    assert turns.take_if_free() is None
    turns.leave(ticket)
    assert turns.take_if_free() is not None


def test_waiting_ends_as_soon_as_the_turn_comes() -> None:
    turns = Turns()
    first, second = turns.take(), turns.take()
    threading.Timer(0.2, turns.leave, [first]).start()
    begun = time.monotonic()
    assert turns.ahead(second, wait_seconds=30) == 0
    assert time.monotonic() - begun < 10
