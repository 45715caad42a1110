"""Errors in handlers become one plain sentence; an exception's own text goes nowhere."""

import logging

import gradio as gr
import pytest

from medqlora.errors import DataError
from ui.guard import guarded, guarded_tick


@pytest.fixture
def toasts(monkeypatch):
    shown = []
    monkeypatch.setattr(gr, "Warning", lambda message, *, duration: shown.append(message))
    return shown


def refuse():
    raise DataError("The file <b>is</b> empty.", hint="Choose another.")


ROW = "patient Jane Doe, MRN 12345"


def crash():
    raise ValueError(ROW)


def stream_then_crash():
    yield "first"
    raise ValueError(ROW)


def test_an_error_of_ours_is_told_escaped_and_the_page_stays(toasts):
    assert guarded(refuse)() == gr.skip()
    assert toasts == ["The file &lt;b&gt;is&lt;/b&gt; empty. Choose another."]


def test_an_unforeseen_error_gets_a_reference_and_no_text_of_its_own(toasts, caplog):
    with caplog.at_level(logging.ERROR):
        assert guarded(crash)() == gr.skip()
    (toast,) = toasts
    reference = toast.rsplit(" ", 1)[1].rstrip(".")
    assert reference in caplog.text
    assert "ValueError" in caplog.text
    assert "raise ValueError(ROW)" in caplog.text
    assert "Jane" not in toast + caplog.text


def test_a_generator_keeps_what_it_gave_before_the_error(toasts):
    assert list(guarded(stream_then_crash)()) == ["first", gr.skip()]
    assert len(toasts) == 1


def test_a_tick_is_silent_but_logged(toasts, caplog):
    with caplog.at_level(logging.ERROR):
        assert guarded_tick(crash)() == gr.skip()
    assert toasts == []
    assert "ValueError" in caplog.text


def test_closing_a_guarded_generator_closes_the_one_inside():
    closed = []

    def stream():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    running = guarded(stream)()
    next(running)
    running.close()
    assert closed == [True]


def test_results_pass_unchanged():
    assert guarded(lambda a, b: [a, b])(1, 2) == [1, 2]
