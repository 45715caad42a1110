"""Blind reviews: made of answers that exist, rated under a code, opened at the end by the owner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medqlora.errors import AccessError, EvaluationError, PersistenceError
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from medqlora.services.rating import Seat
from tests.services.reviewing import EVALUATION, RUN, pairs, write_evaluation


@pytest.fixture
def opened(workspace: Workspace) -> Services:
    return Services.open(workspace.root)


def make(services: Services, workspace: Workspace, number: int = 4, **choices: Any) -> str:
    write_evaluation(workspace, pairs(number))
    settings = {"num_items": 30, "shows_reference": False, "seed": 5, **choices}
    return services.review.make(EVALUATION, **settings)


def rate_all(services: Services, seat: Seat, better: str = "learnt") -> None:
    for _ in range(services.rating.item(seat).num_items):
        item = services.rating.item(seat)
        choice = "a_better" if item.answer_a.startswith(better) else "b_better"
        services.rating.rate(seat, item.position, choice=choice, aspects=["correct"], note="")


def test_two_raters_rate_and_the_owner_opens_it(opened: Services, workspace: Workspace) -> None:
    review_id = make(opened, workspace)
    first = opened.rating.join(review_id, "ab")
    second = opened.rating.join(review_id, "R-2")
    rate_all(opened, first)
    rate_all(opened, second, better="plain")
    assert [(one.rater, one.num_rated) for one in opened.review.progress(review_id)] == [
        ("AB", 4),
        ("R-2", 4),
    ]
    opened.review.unblind(review_id)
    found = opened.review.result(review_id)
    assert dict(found.counts) == {"fine_tuned": 4, "base": 4, "both_good": 0, "both_bad": 0}
    assert found.win_rate == 0.5
    assert found.agreement is not None
    assert found.agreement.statistic == "Cohen"
    assert opened.review.review(review_id).run_id == RUN
    assert opened.rating.open_reviews() == ()


def test_what_a_rater_gets_says_neither_who_wrote_it_nor_what_others_said(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace)
    other = opened.rating.join(review_id, "CD")
    opened.rating.rate(other, 1, choice="both_bad", aspects=[], note="not for you")
    item = opened.rating.item(opened.rating.join(review_id, "AB"))
    assert item.rating is None
    assert item.num_rated == 0
    assert "not for you" not in repr(item)
    assert item.reference is None
    assert not {"base", "fine_tuned", "is_base_first"} & set(type(item).__slots__)


def test_the_reference_answer_is_shown_when_the_owner_wants_it(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace, shows_reference=True)
    item = opened.rating.item(opened.rating.join(review_id, "AB"))
    assert item.reference is not None
    assert item.reference.startswith("Reference")


def test_ratings_survive_a_restart_and_a_line_torn_by_a_kill(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace)
    seat = opened.rating.join(review_id, "AB")
    opened.rating.rate(seat, 1, choice="both_good", aspects=["clear"], note="")
    journal = workspace.reviews / review_id / "journal.jsonl"
    with journal.open("a") as file:
        file.write('{"kind": "rated", "rat')
    again = Services.open(workspace.root)
    back = again.rating.join(review_id, "ab", key=f" {seat.key.upper()} ")
    assert again.rating.item(back).num_rated == 1
    again.rating.rate(back, 2, choice="both_bad", aspects=["clear"], note="")
    assert again.rating.item(back).num_rated == 2
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_rating_can_be_changed_and_the_newest_counts(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace, number=1)
    seat = opened.rating.join(review_id, "AB")
    opened.rating.rate(seat, 1, choice="both_good", aspects=["clear"], note="")
    opened.rating.rate(seat, 1, choice="both_bad", aspects=["safe"], note="a dose is missing")
    opened.review.unblind(review_id)
    assert opened.review.result(review_id).counts["both_bad"] == 1
    assert opened.review.result(review_id).num_ratings == 1


def test_a_code_that_somebody_has_is_refused_without_the_key(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace)
    opened.rating.join(review_id, "AB")
    for key in ("", "wrong"):
        with pytest.raises(EvaluationError, match="Somebody already rates as AB"):
            opened.rating.join(review_id, " ab ", key=key)
    assert len(opened.review.progress(review_id)) == 1


@pytest.mark.parametrize("code", ["", "  ", "a b", "<script>", "x" * 13, "../up", "=1+1"])
def test_what_is_no_code_is_refused(opened: Services, workspace: Workspace, code: str) -> None:
    review_id = make(opened, workspace)
    with pytest.raises(EvaluationError, match="1 to 12 letters"):
        opened.rating.join(review_id, code)


def test_a_seat_that_was_made_up_opens_nothing(opened: Services, workspace: Workspace) -> None:
    review_id = make(opened, workspace)
    opened.rating.join(review_id, "AB")
    for seat in (
        Seat(review_id=review_id, rater="AB", key="guessed"),
        Seat(review_id=review_id, rater="ZZ", key=""),
    ):
        with pytest.raises(AccessError, match="not yours"):
            opened.rating.item(seat)
        with pytest.raises(AccessError, match="not yours"):
            opened.rating.rate(seat, 1, choice="both_bad", aspects=["safe"], note="")


def test_nothing_is_known_before_the_owner_ends_it(
    opened: Services, workspace: Workspace, tmp_path: Path
) -> None:
    review_id = make(opened, workspace)
    seat = opened.rating.join(review_id, "AB")
    opened.rating.rate(seat, 1, choice="both_bad", aspects=["safe"], note="")
    for look in (opened.review.review, opened.review.ratings, opened.review.result):
        with pytest.raises(AccessError, match="still blind"):
            look(review_id)
    with pytest.raises(AccessError, match="still blind"):
        opened.review.write_csv(review_id, tmp_path)
    assert list(tmp_path.glob("*.csv")) == []


def test_a_review_whose_raters_are_not_through_ends_only_when_that_is_accepted(
    opened: Services, workspace: Workspace, tmp_path: Path
) -> None:
    review_id = make(opened, workspace)
    with pytest.raises(EvaluationError, match="Nobody has rated"):
        opened.review.unblind(review_id, accept_missing=True)
    seat = opened.rating.join(review_id, "AB")
    opened.rating.rate(seat, 1, choice="both_bad", aspects=["safe"], note="")
    with pytest.raises(EvaluationError, match=r"AB \(1 of 4\)"):
        opened.review.unblind(review_id)
    opened.review.unblind(review_id, accept_missing=True)
    with pytest.raises(EvaluationError, match="is over"):
        opened.rating.rate(seat, 2, choice="both_bad", aspects=["safe"], note="")
    with pytest.raises(EvaluationError, match="is over"):
        opened.rating.join(review_id, "CD")
    assert opened.review.write_csv(review_id, tmp_path).read_text().count("both_bad") == 2


@pytest.mark.parametrize(
    ("choice", "aspects", "note", "said"),
    [
        (None, ["safe"], "", "no rating yet"),
        ("c_better", ["safe"], "", "no rating yet"),
        ("both_bad", [], "  ", "no reason yet"),
        ("both_bad", [], "x" * 501, "at most 500"),
    ],
)
def test_half_a_rating_is_refused(
    opened: Services, workspace: Workspace, choice: Any, aspects: Any, note: str, said: str
) -> None:
    review_id = make(opened, workspace)
    seat = opened.rating.join(review_id, "AB")
    with pytest.raises(EvaluationError, match=said):
        opened.rating.rate(seat, 1, choice=choice, aspects=aspects, note=note)
    assert opened.rating.item(seat).num_rated == 0


def test_a_review_without_answers_is_refused(opened: Services, workspace: Workspace) -> None:
    write_evaluation(workspace, [])
    with pytest.raises(EvaluationError, match="has no answers"):
        opened.review.make(EVALUATION, num_items=30, shows_reference=False)


def test_an_evaluation_that_goes_on_is_not_reviewed(opened: Services, workspace: Workspace) -> None:
    write_evaluation(workspace, pairs(2), is_over=False)
    with pytest.raises(EvaluationError, match="still going on"):
        opened.review.make(EVALUATION, num_items=30, shows_reference=False)


def test_answers_that_are_the_same_are_left_out_and_counted(
    opened: Services, workspace: Workspace
) -> None:
    write_evaluation(workspace, [("same", "same "), ("", "learnt words 2"), ("a", "a")])
    review_id = opened.review.make(EVALUATION, num_items=30, shows_reference=False)
    seat = opened.rating.join(review_id, "AB")
    item = opened.rating.item(seat)
    assert item.num_items == 1
    assert {item.answer_a, item.answer_b} == {"", "learnt words 2"}
    rate_all(opened, seat)
    opened.review.unblind(review_id)
    assert opened.review.review(review_id).num_identical == 2


def test_models_that_always_say_the_same_leave_nothing_to_review(
    opened: Services, workspace: Workspace
) -> None:
    write_evaluation(workspace, [("", ""), ("a", "a")])
    with pytest.raises(EvaluationError, match="same answer to every question"):
        opened.review.make(EVALUATION, num_items=30, shows_reference=False)


def test_a_damaged_review_is_named_and_hides_no_other(
    opened: Services, workspace: Workspace
) -> None:
    review_id = make(opened, workspace)
    broken = workspace.reviews / "20261122-000000-review-dead"
    broken.mkdir()
    (broken / "review.json").write_text('{"items": [{"question": "canary"')
    assert [one.review_id for one in opened.review.reviews()] == [review_id]
    assert opened.review.unreadable == (broken.name,)
    assert [one for _, one in opened.rating.open_reviews()] == [review_id]
    with pytest.raises(PersistenceError) as raised:
        opened.review.progress(broken.name)
    assert "canary" not in str(raised.value)
