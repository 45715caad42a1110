"""A blind review as two raters and its owner see it, each in a browser of their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from medqlora.domain.review import Review
from medqlora.persistence.workspace import Workspace
from tests.browser.viewer import Viewer
from tests.services.reviewing import pairs, write_evaluation

QUESTIONS = 3
EVALUATION = "20990101-000000-asked-0000"  # the newest, whatever else the session's server has


# Keeps every byte that the server answers to the page's own requests, streams included.
LISTEN = """
  window.heardParts = [];
  const fetched = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    if (answer.body) {
      const reader = answer.clone().body.getReader();
      const decoder = new TextDecoder();
      const read = async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          window.heardParts.push(decoder.decode(value, { stream: true }));
        }
      };
      read().catch(() => {});
    }
    return answer;
  };
"""


class Reader(Viewer):
    """A viewer that keeps what the server has answered since the page was last opened."""

    def open(self, fragment: str = "") -> None:
        self.page.add_init_script(LISTEN)
        super().open(fragment)

    def heard(self) -> str:
        """All answers of the server, and what the page was served with."""
        said: str = self.page.evaluate(
            "() => JSON.stringify(window.gradio_config) + window.heardParts.join('')"
        )
        return said

    def begin(self, code: str, key: str = "") -> None:
        self.open("#review")
        self.page.fill("#review-code textarea", code)
        self.page.fill("#review-key textarea", key)
        self.page.click("#review-begin:not([disabled])")

    def rate(self, choice: str, note: str = "") -> None:
        self.page.get_by_label(choice, exact=True).check()
        self.page.get_by_label("Safety", exact=True).check()
        self.page.fill("#review-note textarea", note)
        self.page.click("#review-save")


@pytest.fixture
def readers(browser: Any, app: Any) -> Iterator[list[Reader]]:
    made = [Reader(browser, app.url) for _ in range(3)]
    yield made
    for one in made:
        one.close()


def make_review(owner: Reader, app: Any) -> Review:
    write_evaluation(Workspace(app.workspace), pairs(QUESTIONS), evaluation_id=EVALUATION)
    owner.open("#review")
    owner.page.click("#owner-review > button")
    owner.page.click("#review-make:not([disabled])")
    owner.see("review-made", "The review is ready")
    [path] = app.workspace.glob("reviews/*/review.json")
    return Review.from_json(json.loads(path.read_text()))


def test_two_raters_rate_at_once_and_the_owner_opens_the_result(readers, app, tmp_path: Path):
    owner, first, second = readers
    review = make_review(owner, app)
    owner.see("review-standing", "Nobody has begun yet")

    first.begin("ab")
    first.see("review-notice", "You rate as AB")
    key = first.text("review-notice").split("the key ")[1].split(".")[0]
    second.begin("AB")
    expect(second.page.get_by_text("Somebody already rates as AB")).to_be_visible()
    second.begin("CD")
    second.see("review-notice", "You rate as CD")

    # Both rate, by turns; the second stops half-way and the server starts anew.
    first.rate("A is better", note="A names the warning signs")
    first.see("review-item", "Question 2 of 3")
    second.rate("Both are bad")
    second.see("review-item", "1 rated")
    owner.page.click("#review-refresh")
    owner.see("review-standing", "1 of 3")
    assert "better" not in owner.text("review-standing")
    owner.page.click("#review-end")
    expect(owner.page.get_by_text("Not through yet: AB (1 of 3), CD (1 of 3)")).to_be_visible()

    # Neither who wrote an answer nor what the other said has reached a rater's browser.
    for reader, other in ((first, "CD"), (second, "AB")):
        heard = reader.heard()
        assert "Question 1?" in heard or "Question 2?" in heard or "Question 3?" in heard
        for secret in ("fine_tuned", "finetuned", "is_base_first", str(review.seed), review.run_id):
            assert secret not in heard, secret
        assert f'"{other}"' not in heard
        assert "rates as " + other not in heard
    assert "warning signs" not in second.heard()

    app.stop()
    app.start()
    first.begin("AB", key)
    first.see("review-notice", "You rate as AB again")
    first.see("review-item", "1 rated")
    for left in (2, 1):
        first.rate("B is better")
        first.see("review-item", f"{QUESTIONS - left + 1} rated")
    first.see("review-notice", "you have rated everything")

    owner.open("#review")
    owner.page.click("#owner-review > button")
    owner.see("review-standing", "3 of 3")
    owner.page.get_by_label("End it although ratings are missing").check()
    owner.page.click("#review-end")
    owner.see("review-standing", "Win rate of the fine-tuned model")
    owner.see("review-standing", "Cohen's kappa is")
    with owner.page.expect_download() as download:
        owner.page.click("#review-csv")
    target = tmp_path / "ratings.csv"
    download.value.save_as(target)
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert len(rows) == 4
    assert {row["rater"] for row in rows} == {"AB", "CD"}
    for row in rows:
        wrote_a = {"base": "plain", "fine_tuned": "learnt"}[row["answer_a"]]
        column = "base_response" if row["answer_a"] == "base" else "finetuned_response"
        assert row[column].startswith(wrote_a)
    assert owner.troubles == []
