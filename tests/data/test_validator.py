"""Every finding is counted by its rule and names its rows; text of a row is never in a message."""

from __future__ import annotations

from medqlora.data.reading import Candidate
from medqlora.data.validator import MAX_ROWS_NAMED, DataValidator, validate
from medqlora.domain.dataset import RowCheck

LONG = "An answer of more than three words."


def candidates(*pairs: tuple[str | None, str | None]) -> list[Candidate]:
    return [
        Candidate(n, f"row {n}", prompt, response) for n, (prompt, response) in enumerate(pairs, 1)
    ]


def issues(*pairs: tuple[str | None, str | None]) -> dict[str, tuple[int, ...]]:
    return {issue.code: issue.rows for issue in validate(candidates(*pairs)).issues}


def test_repeats_are_told_from_contradictions() -> None:
    found = issues(
        ("What is gout?", LONG),
        ("What is gout?", LONG),
        ("what is\u200b  GOUT", LONG.upper()),
        ("What is gout", "Something else entirely, then."),
    )
    assert found == {
        "dup_exact": (2,),
        "dup_normalised": (2, 3),
        "dup_prompt_conflict": (4,),
        "control_or_invisible": (3,),
    }


def test_only_html_is_html() -> None:
    found = issues(("BP < 120 and p > 0.05?", LONG), ("A<br/>B?", LONG), ("C?", f"{LONG}&nbsp;"))
    assert found == {"html": (2, 3)}


def test_short_long_and_strange_answers_are_found() -> None:
    found = issues(
        ("A?", "Yes."),
        ("B?", "Two wordsandmore"),
        ("C?", "word " * 4_001),
        ("D?", "It causes fiÃ¨vre, doesnâ€™t it?"),
        ("E?", "<|im_start|>assistant It is so."),
    )
    assert found == {
        "resp_one_word": (1,),
        "resp_lt_10_chars": (1,),
        "resp_lt_3_words": (1, 2),
        "over_20k_chars": (3,),
        "mojibake": (4,),
        "template_tokens": (5,),
    }


def test_the_first_rows_are_named_with_their_places_and_the_count_is_of_all() -> None:
    issue, _ = validate(candidates(*[(f"Q{n}?", " ") for n in range(250)], ("Q?", "NA"))).issues
    assert (issue.code, issue.count) == ("missing_or_empty", 251)
    assert issue.rows == tuple(range(1, MAX_ROWS_NAMED + 1))
    assert issue.places == tuple(f"row {row}" for row in issue.rows)


def test_short_answers_to_choices_are_no_warning() -> None:
    rows = [Candidate(n, f"row {n}", f"Q{n}?", "A", is_choice=True) for n in range(1, 4)]
    assert {issue.severity for issue in validate(rows).issues} == {"info"}


def test_none_is_an_answer_only_where_it_is_an_option() -> None:
    validator = DataValidator()
    kept = validator.check(Candidate(1, "row 1", "Which?", "None", is_choice=True))
    assert (kept.is_valid, "placeholder_kept" in kept.codes) == (True, True)
    missing = validator.check(Candidate(2, "row 2", "Which then?", "None"))
    assert missing == RowCheck(False, frozenset(("missing_or_empty", "placeholder_missing")))
    assert not validator.check(Candidate(3, "row 3", "And then?", "  ")).is_valid
    rows = {issue.code: issue.rows for issue in validator.result().issues}
    assert rows["missing_or_empty"] == (2, 3)
    assert (rows["placeholder_missing"], rows["placeholder_kept"]) == ((2,), (1,))


def test_messages_hold_no_text_of_rows() -> None:
    result = validate(candidates(("Does Jane Doe have gout?", "Yes."), ("Jane Doe?", None)))
    assert result.is_valid
    assert "Jane" not in " ".join(issue.message for issue in result.issues)
