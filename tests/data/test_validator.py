"""Every finding is counted by its rule and names its rows; text of a row is never in a message."""

from __future__ import annotations

from medqlora.data.normalising import Fingerprints
from medqlora.data.reading import Candidate
from medqlora.data.validator import MAX_ROWS_NAMED, DataValidator, validate
from medqlora.domain.dataset import MedicalDataEntry, RowCheck

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


def test_adverts_formulas_and_endless_answers_are_found() -> None:
    found = issues(
        ("A?", "Rest and drink. Thanks for using Chat Doctor!"),
        ("B?", '=HYPERLINK("http://x", "y") and so on'),
        ("C?", "word " * 20_000),
        ("D? Subscribe?", "Ask your doctor whether to call us a taxi."),
    )
    assert found == {
        "advert": (1,),
        "formula": (2,),
        "over_20k_chars": (3,),
        "resp_over_100k_chars": (3,),
    }


def test_one_word_is_told_from_scripts_without_spaces() -> None:
    found = issues(
        ("A?", "Paracetamol"),
        ("B?", "\u4f11\u606f\u548c\u591a\u559d\u6c34\u5c31\u884c\u4e86\u5440"),
    )
    assert found["resp_one_word"] == (1,)


def labelled(labels: list[str], answers: list[str]) -> list[str]:
    rows = [
        Candidate(n, f"row {n}", f"Q{n}?", answer, entry=MedicalDataEntry("", answer, None, meta))
        for n, (meta, answer) in enumerate(
            zip([{"label": label} for label in labels], answers, strict=True), 1
        )
    ]
    found = [one for one in validate(rows).issues if one.code == "label_imbalance"]
    return [one.message for one in found]


def test_unbalanced_labels_are_found_without_saying_them() -> None:
    long = [f"An answer of its own, number {n}." for n in range(100)]
    assert labelled(["yes"] * 50 + ["no"] * 50, long) == []
    (message,) = labelled(["gouty"] * 95 + ["no"] * 5, long)
    assert 'the column "label"' in message
    assert "95% of 100 rows" in message
    assert "gouty" not in message
    assert labelled(["one"] * 100, long) == []
    assert len(labelled(["a", "b"] * 50, ["Yes."] * 90 + ["No."] * 10)) == 1
    assert "all the same" in labelled(["a", "b"] * 50, ["Yes."] * 100)[0]


def test_right_options_that_stand_mostly_in_one_place_are_found() -> None:
    def rows(letters: str) -> list[Candidate]:
        entry = MedicalDataEntry("", "")
        return [
            Candidate(n, f"row {n}", f"Q{n}?", letter, True, entry, option=letter)
            for n, letter in enumerate(letters)
        ]

    assert "label_imbalance" not in {one.code for one in validate(rows("ABCD" * 10)).issues}
    assert "label_imbalance" in {one.code for one in validate(rows("AAAABC" * 10)).issues}


def test_millions_of_rows_can_be_compared_in_little_memory() -> None:
    seen = Fingerprints()
    assert all(seen.add(n * 7919) for n in range(200_000))
    assert not any(seen.add(n * 7919) for n in range(200_000))
    assert seen.num_bytes < 200_000 * 32


def test_findings_about_a_row_are_handed_back() -> None:
    validator = DataValidator()
    first, again = candidates(("What?", "A <br> b c d e."), ("What?", "A <br> b c d e."))
    assert validator.check(first) == RowCheck(True, frozenset(("html",)))
    repeated = frozenset(("html", "dup_exact", "dup_normalised"))
    assert validator.check(again) == RowCheck(True, repeated)
