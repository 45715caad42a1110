"""What ends by itself: a reviewers' link, a session, a lock after wrong passwords."""

from __future__ import annotations

from dataclasses import dataclass

from ui.door.keys import REVIEWER_SECONDS, SESSION_SECONDS, KeyRing
from ui.door.limits import Lockout
from ui.door.roles import Role

HOUR, MINUTE = 3600.0, 60.0


@dataclass
class Clock:
    """A clock that is set."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_reviewers_link_opens_for_a_day_and_the_owners_for_good() -> None:
    clock = Clock()
    keys = KeyRing(clock)
    reviewer, owner = keys.key(Role.REVIEWER), keys.key(Role.OWNER)
    assert reviewer
    assert owner
    clock.now += 24 * HOUR - 1
    assert keys.role_of_token(reviewer.token) is Role.REVIEWER
    assert keys.role_of_password(reviewer.password) is Role.REVIEWER
    clock.now += 1
    assert keys.role_of_token(reviewer.token) is None
    assert keys.role_of_password(reviewer.password) is None
    clock.now += 1000 * HOUR
    assert keys.role_of_token(owner.token) is Role.OWNER


def test_a_session_ends_after_twelve_hours_and_with_its_link() -> None:
    clock = Clock()
    keys = KeyRing(clock)
    secret = keys.begin(Role.REVIEWER)
    clock.now += SESSION_SECONDS - 1
    session = keys.session(secret)
    assert session
    clock.now += 1
    assert keys.session(secret) is None
    assert not keys.is_alive(session)
    assert keys.sessions() == ()

    clock.now += REVIEWER_SECONDS - SESSION_SECONDS - HOUR  # an hour before the link ends
    late = keys.begin(Role.REVIEWER)
    clock.now += HOUR - 1
    assert keys.session(late)
    clock.now += 1
    assert keys.session(late) is None
    assert SESSION_SECONDS == 12 * HOUR


def test_five_wrong_passwords_lock_for_five_minutes_then_ten() -> None:
    clock = Clock()
    lockout = Lockout(clock)
    for minutes in (5, 10, 20):
        assert [lockout.record_wrong("one") for _ in range(5)] == [*4 * [False], True]
        assert lockout.seconds_left("one") == lockout.seconds_left("one", with_link=True)
        assert lockout.seconds_left("one") == minutes * MINUTE
        clock.now += minutes * MINUTE - 1
        assert lockout.seconds_left("one")
        clock.now += 1
        assert not lockout.seconds_left("one")
    lockout.record_right("one")
    assert [lockout.record_wrong("one") for _ in range(5)][-1]
    assert lockout.seconds_left("one") == 5 * MINUTE


def test_wrong_passwords_from_everywhere_close_the_form_and_no_link() -> None:
    clock = Clock()
    lockout = Lockout(clock)
    for n in range(19):
        lockout.record_wrong(f"address-{n}")
    assert not lockout.seconds_left("somebody else")
    lockout.record_wrong("address-19")
    first = lockout.seconds_left("somebody else")
    assert first > 0
    assert not lockout.seconds_left("somebody else", with_link=True)
    clock.now += first
    assert not lockout.seconds_left("somebody else")
    for n in range(20):
        lockout.record_wrong(f"another-{n}")
    assert lockout.seconds_left("somebody else") == 2 * first
