"""Every text of the interface that is longer than a label, in plain words.

Texts that come with a value (an error's hint, a setting's help, a choice's reason) live with the
value, not here.
"""

from __future__ import annotations

from typing import Final

TITLE: Final = "medqlora"
TAGLINE: Final = "Teach a language model from your own medical questions and answers."
NOT_A_DEVICE: Final = (
    "medqlora is not a medical device. Its answers can be wrong; never use them to care for a "
    "patient."
)

LOGIN: Final = (
    "User and password stand in the notebook cell or the terminal in which the page was started."
)

UNEXPECTED: Final = (
    "Something went wrong in the program; nothing that was saved is lost. Try again, and if it "
    "comes back, report reference {reference}."
)

# Opening sentences: what to do here, and where to go next.
LEADS: Final = {
    "Dataset": (
        "Choose the questions and answers that the model will learn from.",
        "Then go to Configure.",
    ),
    "Configure": (
        "Everything is already set to suit this machine; change only what you want to.",
        "Then go to Train.",
    ),
    "Train": (
        "Start the training and stop it whenever you like; what was learnt is kept.",
        "Watch it in Monitor.",
    ),
    "Monitor": (
        "Watch the model learn: the loss should fall, most of all on the entries it never saw.",
        "When it is done, go to Evaluate.",
    ),
    "Evaluate": (
        "Measure whether training helped: the model before and after answers the same questions.",
        "Then talk to both in Compare.",
    ),
    "Compare": (
        "Ask one question and read both answers, before and after training, side by side.",
        "To try other data or settings, go back to Dataset.",
    ),
}

# Dataset
SAMPLE_NOTE: Final = (
    "No data at hand? The sample has about 250 short questions and answers from at least "
    "12 specialties."
)
UPLOAD_LABEL: Final = "Your file: JSON, JSONL or CSV, and also XLSX, Parquet or XML"
PRIVACY_NOTE: Final = (
    "Your file stays on the machine that runs this page. Remove names, dates and record numbers of "
    "patients before you upload; nothing here does that for you."
)
DATASETS_HELP: Final = "Every dataset that was prepared here; Train uses the one you choose."
NO_DATASET: Final = "Nothing chosen yet. Use the sample, or upload a file of your own."
MAPPING_NEEDED: Final = (
    "The columns do not say by themselves which is the question and which the answer. Choose them "
    "under Columns, where a value of each is shown, then press Read with these columns."
)
FILE_READ: Final = "{valid} of {rows} entries can be used. Look at the preview, then press Prepare."
FILE_UNUSABLE: Final = "None of the {rows} entries can be used; see the findings below."
PREPARED: Final = (
    "{name} is ready: {train} entries to learn from, {held} held out to measure with. Go to "
    "Configure."
)
EVAL_SHARE_HELP: Final = (
    "The model never sees these entries in training; they show whether it really learnt something."
)
NO_FINDINGS: Final = "No problems were found."
PREVIEW_NOTE: Final = "The first {shown} of {total}."

# Configure
SETTINGS_FINE: Final = (
    "{steps} steps of {batch} entries each on {name}, {entries} entries to learn from. "
    "How long it takes is known after the first steps."
)
SETTINGS_FINE_WITHOUT_DATA: Final = (
    "These settings are fine: {batch} entries a step. Choose a dataset to see how many steps that"
    " is."
)
SETTINGS_KEPT: Final = "Until this is mended, Train keeps the last settings that were fine."
MODEL_HELP: Final = (
    "One of the list, or type the id of any model on the hub, such as owner/name; the first choice "
    "needs neither network nor graphics card."
)
MODEL_KEPT: Final = "Until another one is chosen, Train keeps {model}."
GPU_NEEDED: Final = "This model needs a graphics card, and this machine has none."

# Train
WHAT_TO_DO: Final = "What to do now"
CONNECTION_LOST: Final = "If the page, the notebook or the machine is lost"
NO_DATASET_TO_TRAIN: Final = (
    "There is no dataset yet. Go to Dataset and use the sample, or your own file."
)
PLAN: Final = (
    "{model}: {steps} steps of {batch} entries, LoRA rank {rank}, learning rate {rate}. "
    "Change them in Configure."
)
READY_TO_TRAIN: Final = "Ready. Press Start training."
STOPPING: Final = "Stopping: the current step ends, then a checkpoint is saved."
NO_RUN: Final = "No run yet. Start one in Train."
NO_POINTS: Final = "Nothing measured yet"
NO_MESSAGES: Final = "Nothing to report."

# Evaluate and Compare
NO_FINISHED_RUN: Final = "There is no trained model yet. Start a run in Train and let it end."
NO_EVALUATION: Final = "No results yet. Choose a trained model and press Start."
QUERIES_HELP: Final = "One question a line."
SUMMARY_NOTE: Final = (
    "Scores run from 0 to 1 and measure how much of the reference answer's wording comes back. "
    "They do not measure whether an answer is medically right."
)
WITHOUT_REFERENCE: Final = (
    "Your own questions have no reference answer, so there are no scores; read the answers below."
)
COMPARE_EMPTY: Final = "The answer will appear here."
COMPARE_READY: Final = (
    "Both answers come from the same model, once without and once with what it learnt."
)
COMPARE_STOPPED: Final = (
    "Stopped. The answers so far stay on the page; the next question continues."
)
EXAMPLES: Final = (
    "What are the early signs of sepsis?",
    "How does metformin lower blood glucose?",
    "When is a headache an emergency?",
    "Why does chronic kidney disease cause anaemia?",
)
