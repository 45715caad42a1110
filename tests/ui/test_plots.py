"""A snapshot becomes what the browser draws: everything once, then only what is new."""

import json
import math

from medqlora.domain.events import RunStarted
from tests.ui.snapshots import STARTED, STOPPED, THREE_STEPS, folded, memory, step
from ui.plots import FIGURES, REDRAW_EVERY, Cursor, feed


def points(fed, div_id, trace=0):
    drawn = fed["figures"][div_id]["traces"][trace]
    return list(zip(drawn["x"], drawn["y"], strict=True))


def test_a_new_viewer_gets_every_point_and_the_axes():
    fed = feed(folded(THREE_STEPS), Cursor())
    assert fed["is_full"]
    assert points(fed, "plot-loss") == [(1, 3.0), (2, 2.5)]
    assert points(fed, "plot-loss", trace=1) == [(2, 2.7)]
    assert fed["figures"]["plot-loss"]["layout"]["xaxis"]["visible"]


def test_a_viewer_who_has_seen_some_gets_only_the_rest():
    before, after = folded(THREE_STEPS), folded([*THREE_STEPS, step(3, 2.2), memory(1.2)])
    fed = feed(after, Cursor("run-a", before.seq))
    assert not fed["is_full"]
    assert points(fed, "plot-loss") == [(3, 2.2)]
    assert points(fed, "plot-loss", trace=1) == []
    assert points(fed, "plot-memory") == [(round(6 / 60, 4), 1.2)]
    assert fed["seq"] == after.seq


def test_the_ticks_of_a_run_add_up_to_the_whole():
    events = [*THREE_STEPS, *(step(number, 3 - number / 10) for number in range(3, 9))]
    collected, cursor = [], Cursor()
    for end in range(5, len(events) + 1):
        fed = feed(folded(events[:end]), cursor)
        collected = ([] if fed["is_full"] else collected) + points(fed, "plot-loss")
        cursor = Cursor("run-a", fed["seq"])
    assert collected == points(feed(folded(events), Cursor()), "plot-loss")


def test_another_run_is_drawn_afresh():
    fed = feed(folded(THREE_STEPS, run_id="run-b"), Cursor("run-a", 99))
    assert fed["is_full"]
    assert fed["figures"]["plot-loss"]["layout"]["uirevision"] == "run-b"


def test_a_resumed_run_is_drawn_afresh_because_later_points_were_dropped():
    stopped = folded([*STOPPED[:-1], step(3, 9.9), STOPPED[-1]])
    resumed = folded(
        [*STOPPED[:-1], step(3, 9.9), STOPPED[-1], RunStarted(job="train", resumed_from_step=2)]
    )
    fed = feed(resumed, Cursor("run-a", stopped.seq))
    assert fed["is_full"]
    assert points(fed, "plot-loss") == [(1, 3.0), (2, 2.5)]


def test_the_first_point_of_a_trace_brings_the_axes():
    fed = feed(folded(THREE_STEPS), Cursor("run-a", 2))
    assert fed["is_full"]


def test_a_page_that_stays_open_gets_the_thinned_picture_now_and_then():
    events = [STARTED, *(step(number, 1.0, total=5000) for number in range(1, REDRAW_EVERY + 1))]
    fed = feed(folded(events), Cursor("run-a", REDRAW_EVERY - 1))
    assert fed["is_full"]
    assert len(points(fed, "plot-loss")) <= 500


def test_not_a_number_is_a_gap_and_never_a_zero():
    fed = feed(folded([STARTED, step(1, 3.0), step(2, math.nan), step(3, math.inf)]), Cursor())
    assert points(fed, "plot-loss") == [(1, 3.0), (2, None), (3, None)]
    json.dumps(fed, allow_nan=False)


def test_memory_is_drawn_against_its_limit():
    fed = feed(folded(THREE_STEPS), Cursor())
    used, limit = fed["figures"]["plot-memory"]["traces"]
    assert used["y"] == [1.0]
    assert limit["y"] == [16.0]
    assert limit["line"]["dash"] == "dash"


def test_a_plot_without_points_says_so_and_has_no_axes():
    layout = feed(folded([STARTED]), Cursor())["figures"]["plot-loss"]["layout"]
    assert not layout["xaxis"]["visible"]
    assert layout["annotations"][0]["text"]


def test_every_trace_of_a_figure_is_one_that_the_snapshot_fills():
    drawn = {trace.name for figure in FIGURES for trace in figure.traces}
    assert drawn == set(folded(THREE_STEPS).traces)
