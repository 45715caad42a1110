"""Words become HTML that cannot be anything but words."""

import pytest

from ui import markup

HOSTILE = '<img src=x onerror="window.PWN=1">${window.PWN=1}{{x}}'


@pytest.mark.parametrize(
    "html",
    [
        markup.lead(HOSTILE, HOSTILE),
        markup.note(HOSTILE),
        markup.notice(HOSTILE),
        markup.empty(HOSTILE),
        markup.facts({HOSTILE: HOSTILE}),
        markup.table([HOSTILE], [[HOSTILE]], caption=HOSTILE),
        markup.reasons([(HOSTILE, HOSTILE, HOSTILE)]),
        markup.sentences([(HOSTILE, "warn", HOSTILE)]),
        markup.progress(HOSTILE, None, detail=HOSTILE),
    ],
)
def test_hostile_text_stays_text(html):
    assert "<img" not in html
    assert 'onerror="' not in html
    assert "${" not in html
    assert "{{" not in html
    assert "&lt;img" in html


def test_an_empty_notice_takes_no_room():
    assert markup.notice("") == ""


def test_a_progress_bar_says_its_share_to_a_screen_reader():
    assert 'aria-valuenow="25"' in markup.progress("Training", 0.25)
    assert "aria-valuenow" not in markup.progress("Loading", None)
