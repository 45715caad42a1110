"""Every text of the blind review that is longer than a label."""

from __future__ import annotations

from typing import Final

LEAD: Final = (
    "Rate answers without knowing which model wrote which. Choose the review, give your initials "
    "or a code, and press Begin; you can stop at any time and go on later with your key."
)
CODE_HELP: Final = "Not your full name; it stands in the result."
KEY_HELP: Final = "Only to go on with what you began."
YOUR_KEY: Final = (
    "You rate as {rater}. To go on later, or on another machine, give this code and the key {key}. "
    "Write it down: it is shown here only."
)
GOES_ON: Final = "You rate as {rater} again."
NO_OPEN_REVIEW: Final = "There is no review to rate at the moment."
NO_ANSWER: Final = "This model gave no answer."
SAVED_ALL: Final = (
    "Thank you: you have rated everything. You can still go back and change a rating until the "
    "review is ended."
)
PHI_NOTE: Final = "Leave out everything that could tell who a patient is."
NOTE_HELP: Final = f"At most 500 characters. {PHI_NOTE}"

OWNER_LEAD: Final = (
    "A review takes answers that an evaluation has given, so raters need no graphics card. Each "
    "rater gets the questions in an order of their own and which answer is A by chance; neither "
    "stands in the page. Send raters the address of this page with #review at its end. Who has "
    "seen the answers on Evaluate, or asks the same questions above, is not blind any more."
)
NO_ANSWERS: Final = "There is no evaluation with answers yet. Start one on Evaluate."
MADE: Final = "The review is ready: raters find it in the list above after opening Compare anew."
NO_RATERS: Final = "Nobody has begun yet."
STILL_BLIND: Final = (
    "Which model wrote which answer, and every result, is shown once the review is ended."
)
END_MISSING: Final = "End it although ratings are missing"
REFERENCE_HELP: Final = "Raters then see the answer that your data gives beside both."
IDENTICAL: Final = "{number} questions were left out, because both models answered the same."
METHOD: Final = (
    "Win rate: the fine-tuned model's points, averaged over the items: better 1, both good or both "
    "bad one half, worse 0. Wilson's 95 % interval over {items} items; ratings of one item are "
    "averaged first. Sign test over the {decided} items with a preference: p = {p}. Orders come "
    "from the seed {seed}."
)
