"""The text metrics, on answers whose scores can be worked out by hand."""

from __future__ import annotations

import pytest

from medqlora.evaluation.metrics import (
    METRICS,
    TextMetric,
    bleu,
    chrf,
    exact_match,
    mean_scores,
    normalise,
    num_words,
    rouge_1,
    rouge_2,
    rouge_l,
    score,
    token_f1,
    words,
)

SCORES = [name for name, metric in METRICS.items() if metric.is_score]


def scores_of(response: str, reference: str) -> dict[str, float]:
    found = score(response, reference)
    return {name: found[name] for name in SCORES}


def test_bleu_and_chrf_are_sacrebleus_own_figures() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    response = "Beta blockers lower the heart rate and the pressure."
    reference = "Beta blockers slow the heart and lower the pressure."
    theirs = BLEU(effective_order=True).sentence_score(response, [reference]).score
    assert 0 < bleu(response, reference) == pytest.approx(theirs / 100)
    theirs = CHRF().sentence_score(response, [reference]).score
    assert 0 < chrf(response, reference) == pytest.approx(theirs / 100)


def test_rouge_counts_words_then_pairs_of_them() -> None:
    response, reference = "take aspirin daily", "take aspirin at night"
    assert rouge_1(response, reference) == pytest.approx(2 * 2 / (3 + 4))
    assert rouge_2(response, reference) == pytest.approx(2 * 1 / (2 + 3))


def test_length_counts_words_and_is_no_score() -> None:
    assert num_words("Give 2.5 mg, once.", "") == 4.0
    assert not METRICS["num_words"].is_score


def test_the_same_answer_scores_one_on_every_metric() -> None:
    answer = "Metformin lowers the glucose that the liver makes."
    assert scores_of(answer, answer) == pytest.approx(dict.fromkeys(SCORES, 1.0))


def test_answers_with_nothing_in_common_score_zero_on_every_metric() -> None:
    found = scores_of("Rest and fluids.", "Metformin lowers glucose")
    assert 0 < found.pop("chrf") < 0.2  # which counts single letters
    assert set(found.values()) == {0.0}


def test_an_empty_answer_scores_zero_on_every_metric() -> None:
    assert set(scores_of("", "Metformin lowers glucose").values()) == {0.0}
    assert score("", "Metformin lowers glucose")["num_words"] == 0.0


def test_token_f1_is_the_harmonic_mean_over_words() -> None:
    # 2 of 3 words are shared with a reference of 4: precision 2/3, recall 2/4.
    assert token_f1("aspirin thins platelets", "aspirin thins blood well") == pytest.approx(4 / 7)


def test_token_f1_counts_a_repeated_word_once_for_each_time_it_is_wanted() -> None:
    assert token_f1("pain pain pain", "pain") == pytest.approx(0.5)


def test_rouge_l_falls_with_the_order_of_words_and_token_f1_does_not() -> None:
    response, reference = "daily aspirin take", "take aspirin daily"
    assert token_f1(response, reference) == 1.0
    assert rouge_l(response, reference) == pytest.approx(1 / 3)


def test_rouge_l_is_the_librarys_own_figure_on_english_text() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    response = "The heart's beta-blocker dose is 2.5 mg; it_was lowered in 2019 (see above)."
    reference = "Beta blockers: a dose of 2.5 mg was given, then lowered (2019)."
    library = RougeScorer(["rougeL"]).score(reference, response.replace("it_was", "it was"))
    assert rouge_l(response, reference) == pytest.approx(library["rougeL"].fmeasure)


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        ("15 mg", "1.5 mg"),
        ("INR > 2", "INR < 2"),
        ("2 h", "-2 h"),
        ("Rh+", "Rh-"),
        ("hepatitis A", "hepatitis"),
        ("", "A"),
        ("", "?"),
        ("the", ""),
    ],
)
def test_normalising_never_makes_two_clinically_different_answers_equal(
    response: str, reference: str
) -> None:
    assert exact_match(response, reference) == 0.0


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        ("Yes.", "yes"),
        ("The cat", "cat"),
        ("A fever,  and a cough!", "fever and cough"),
        ("1,000 mg", "1000 MG"),
        ("\uff15\uff4d\uff47", "5mg"),
        ("5\u201310 days", "5-10 days"),
    ],
)
def test_case_articles_punctuation_and_width_do_not_count(response: str, reference: str) -> None:
    assert exact_match(response, reference) == 1.0


def test_chinese_is_compared_by_characters_on_every_metric() -> None:
    response, reference = "高血压应减少盐的摄入。", "高血压患者应减少盐"
    assert words("高血压。") == ["高", "血", "压"]
    # 8 shared characters of 10 and 9.
    assert token_f1(response, reference) == pytest.approx(14 / 19)
    assert rouge_l(response, reference) == pytest.approx(14 / 19)


def test_scripts_with_combining_marks_keep_their_words_whole() -> None:
    assert words("उच्च रक्तचाप") == ["उच्च", "रक्तचाप"]
    assert rouge_l("उच्च रक्तचाप", "रक्तचाप उच्च") == pytest.approx(0.5)


def test_accented_words_are_one_word_each() -> None:
    assert words("Müdigkeit, Übelkeit") == ["müdigkeit", "übelkeit"]
    assert rouge_l("Müdigkeit", "M digkeit") == 0.0


def test_normalising_twice_changes_nothing_more() -> None:
    for text in (
        "A fever of 39.5 °C!",
        "the",
        "Rh+ (COX-2) 120/80",
        "\u201cQuoted\u201d \u2013 text",
    ):
        assert normalise(normalise(text)) == normalise(text)


def test_a_metric_is_added_by_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TextMetric(
        name="same_length",
        label="Same length",
        help="1 when both texts are equally long.",
        function=lambda response, reference: float(len(response) == len(reference)),
    )
    monkeypatch.setitem(METRICS, row.name, row)
    assert score("abc", "xyz")["same_length"] == 1.0


def test_every_metric_explains_itself_and_stands_under_its_name() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.label
        assert metric.help.endswith(".")


def test_means_are_taken_metric_by_metric() -> None:
    assert mean_scores([{"f1": 0.0, "em": 1.0}, {"f1": 0.5, "em": 1.0}]) == {"f1": 0.25, "em": 1.0}
    assert mean_scores([]) == {}


def test_two_very_long_answers_are_scored_in_seconds() -> None:
    import time

    began = time.monotonic()
    score("fever cough " * 10_000, "cough fever " * 10_000)
    assert time.monotonic() - began < 20
