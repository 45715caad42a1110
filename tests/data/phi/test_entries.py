from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqlora.data.phi.entries import KEEP_CONFIRMATION, EntryScreener, mask
from medqlora.data.phi.screen import PhiScreen
from medqlora.data.phi.surrogates import Surrogates
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import DataError

KEY = b"a key of the tests"
ENTRY = MedicalDataEntry(
    question="Mrs. Jane Roe, seen on March 3rd, 2023 at Lakeside Clinic (MRN: AB-12345). Dose?",
    answer="Ask Dr. Okafor on 555-123-4567. The dose was 5 mg.",
    context="Jane Roe is 94 years old.",
    metadata={"source": "jane.roe@example.com", "tags": ["Dr. Okafor"], "row": 3},
)
CLEAN = MedicalDataEntry(question="What is asthma?", answer="A disease of the airways.")


def screened(action: str, entry: MedicalDataEntry = ENTRY, **options: object) -> MedicalDataEntry:
    result = EntryScreener(action, key=KEY, **options).screen(entry).entry  # type: ignore[arg-type]
    assert result is not None
    return result


def test_masking_puts_typed_placeholders_in_every_text_of_an_entry() -> None:
    masked = screened("mask")
    assert masked.question == "[NAME], seen on [DATE] at [LOCATION] (MRN: [MRN]). Dose?"
    assert masked.answer == "Ask [NAME] on [PHONE]. The dose was 5 mg."
    assert masked.context == "[NAME] is [AGE] years old."
    assert masked.metadata == {"source": "[EMAIL]", "tags": ["[NAME]"], "row": 3}


def test_counts_and_record_say_what_was_done() -> None:
    screener = EntryScreener("mask")
    assert screener.screen(ENTRY).counts["name"] == 4
    screener.screen(CLEAN)
    record = screener.record()
    assert (record.num_rows, record.rows_touched, record.rows_dropped) == (2, 1, 0)
    assert record.counts["mrn"] == 1
    assert record.rules_version == PhiScreen.version
    assert record.to_json()["action"] == "mask"


def test_dropping_leaves_out_what_holds_something_and_nothing_else() -> None:
    screener = EntryScreener("drop")
    assert [screener.screen(one).entry for one in (ENTRY, CLEAN)] == [None, CLEAN]
    assert screener.record().rows_dropped == 1


def test_keeping_needs_its_typed_confirmation_and_records_it() -> None:
    with pytest.raises(DataError, match="typed confirmation"):
        EntryScreener("keep")
    with pytest.raises(DataError):
        EntryScreener("keep", confirmation="yes")
    screener = EntryScreener("keep", confirmation=KEEP_CONFIRMATION)
    assert screener.screen(ENTRY).entry == ENTRY
    assert screener.record().confirmation == KEEP_CONFIRMATION
    assert screener.record().rows_touched == 1


def test_surrogates_are_the_same_for_the_same_name_in_every_row() -> None:
    replaced = screened("surrogate")
    name = re.match(r"Mrs\. (\w+ \w+),", replaced.question)
    assert name is not None
    assert replaced.context is not None
    assert replaced.context.startswith(name[1] + " is ")
    assert "Roe" not in replaced.question + replaced.context
    assert replaced == screened("surrogate")


def test_another_key_gives_other_surrogates_and_no_key_is_in_the_record() -> None:
    screener = EntryScreener("surrogate", key=KEY)
    other = EntryScreener("surrogate", key=b"another")
    assert screener.screen(ENTRY).entry != other.screen(ENTRY).entry
    assert KEY.decode() not in str(screener.record().to_json())
    assert EntryScreener("surrogate").screen(ENTRY).entry != screener.screen(ENTRY).entry


def test_dates_move_by_one_offset_and_keep_their_distance_and_form() -> None:
    surrogates = Surrogates(KEY)
    assert surrogates.shift_days != 0
    first = surrogates.of("2021-03-01", "date")
    second = surrogates.of("2021-03-31", "date")
    days = [list(map(int, one.split("-"))) for one in (first, second)]
    from datetime import date

    assert (date(*days[1]) - date(*days[0])).days == 30
    assert re.fullmatch(
        r"\w+ \d{1,2}(?:st|nd|rd|th), \d{4}", surrogates.of("March 3rd, 2023", "date")
    )
    assert re.fullmatch(r"\d\d/\d\d/\d\d", surrogates.of("03/04/21", "date"))


def test_dates_move_by_an_offset_for_each_patient_where_a_field_says_who() -> None:
    def moved(patient: str) -> str:
        entry = MedicalDataEntry(
            question="Seen on 2021-03-01.", answer="x", metadata={"patient": patient}
        )
        return screened("surrogate", entry, patient_field="patient").question

    assert moved("a") == moved("a")
    assert len({moved(one) for one in "abcdef"}) > 3


def test_date_that_cannot_be_read_becomes_a_placeholder() -> None:
    assert Surrogates(KEY).of("31/31/2021", "date") == "[DATE]"
    assert Surrogates(KEY).of("last Thursday", "date") == "[DATE]"


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("mrn", "AB-12345", r"[A-Z]{2}-\d{5}"),
        ("ssn", "123-45-6789", r"\d{3}-\d\d-\d{4}"),
        ("phone", "(415) 555-0132", r"\(\d{3}\) \d{3}-\d{4}"),
        ("email", "a@example.com", r"user\d+@example\.org"),
        ("ip", "203.0.113.7", r"192\.0\.2\.\d+"),
        ("url", "https://x.org/1", r"https://example\.org/\d+"),
        ("age", "94", "90"),
        ("name", "JANE ROE", "[A-Z]+ [A-Z]+"),
        ("name", "Dr. A. Roe", r"Dr\. [A-Z]\. [A-Z][a-z]+"),
        ("location", "Lakeside Clinic", r"\S+ Clinic"),
        ("location", "62704", r"\d{5}"),
    ],
)
def test_surrogate_keeps_the_form_of_its_kind(kind: str, value: str, form: str) -> None:
    made = Surrogates(KEY).of(value, kind)  # type: ignore[arg-type]
    assert re.fullmatch(form, made)
    assert made != value


@given(st.text(max_size=40), st.sampled_from(["name", "location", "date", "mrn", "phone", "age"]))
@settings(deadline=None)
def test_surrogate_of_anything_is_another_text_and_always_the_same(value: str, kind: str) -> None:
    made = Surrogates(KEY).of(value, kind)  # type: ignore[arg-type]
    assert made != value
    assert made == Surrogates(KEY).of(value, kind)  # type: ignore[arg-type]


def test_many_entries_come_back_in_order_from_several_processes() -> None:
    entries = [
        MedicalDataEntry(question=f"Seen by Dr. Roe, case {i}. " + "Fine. " * 90, answer="Yes.")
        for i in range(900)
    ]
    alone = EntryScreener("surrogate", key=KEY)
    together = EntryScreener("surrogate", key=KEY)
    expected = [alone.screen(one) for one in entries]
    assert list(together.screen_all(iter(entries), processes=2)) == expected
    assert together.record().counts == alone.record().counts


def test_masked_text_holds_nothing_of_what_was_found() -> None:
    text = ENTRY.question
    spans = PhiScreen().find(text)
    masked = mask(text, spans)
    assert all(text[one.start : one.end] not in masked for one in spans if one.kind != "mrn")
    assert "12345" not in masked
