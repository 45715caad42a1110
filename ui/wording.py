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
    "The password stands in the notebook cell or the terminal in which the page was started; "
    "reviewers get theirs from its owner."
)
IMPORT_ADAPTER: Final = "Bring in an adapter that was made elsewhere"
IMPORT_HELP: Final = (
    "A zip file with PEFT's adapter_config.json and adapter_model.safetensors. Anything that could "
    "run code is refused; the shapes must be those of the base model."
)
ADAPTER_IMPORTED: Final = "The adapter is here, and chosen above; Evaluate lists it too."
OWNER_PANEL: Final = "People and data: who is here, the reviewers' link, delete everything"
PEOPLE_HELP: Final = (
    "Everybody who came in, and what was done lately, without content. The whole list is "
    "audit.jsonl in the workspace."
)
REVIEWERS_HELP: Final = (
    "Reviewers see Compare alone: they ask the models, and can neither read your data nor change "
    "anything. A new link ends the old one at once, and whoever came in with it."
)
NO_LOGIN_HERE: Final = "Only this machine reaches the page, so there is no login and no link."
HOW_TO_SHARE: Final = "Start it with --share to let others in, each with a link of their role."
NEW_OWNER_KEY: Final = (
    "The new owner's link stands where the page was started, in the terminal or the notebook cell. "
    "This page is signed out: reload it and use the new link."
)
ERASE_HELP: Final = (
    "Uploads, read and prepared data, runs with their adapters and checkpoints, evaluations, exams "
    "and your own questions for them, safety panels, blind reviews and chats. Base models and the "
    "audit log stay. It cannot be undone."
)
ERASE_CONFIRM: Final = 'Type "{words}"'
REMAINS: Final = "What remains, and where"
ROLE_LINKS: Final = {
    "owner": "Owner's link (can do everything)",
    "reviewer": "Reviewers' link (Compare alone, for 24 hours)",
}

UNEXPECTED: Final = (
    "Something went wrong in the program; nothing that was saved is lost. Try again, and if it "
    "comes back, report reference {reference}."
)
DRIVE_IS_AWAY: Final = (
    "The workspace folder does not answer. See that its disk or network share is connected, then "
    "try again; nothing that was saved is lost. Reference {reference}."
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
UPLOAD_LABEL: Final = "Your file: Excel, CSV, JSON, JSONL, Parquet or XML, zipped or not"
PRIVACY_NOTE: Final = (
    "Your file stays on the machine that runs this page; what you prepare of it is also copied to "
    "the mirror, if one is set. The PHI screen looks for names, dates and "
    "numbers of patients in it; it misses some, so take out what you can beforehand."
)
UPLOAD_DELETED: Final = (
    "{name} was deleted from this machine, with all that was read of it. A dataset that you "
    "prepared of it stays."
)
DATASETS_HELP: Final = "Every dataset that was prepared here; Train uses the one you choose."
NO_DATASET: Final = "Nothing chosen yet. Use the sample, or upload a file of your own."
MAPPING_NEEDED: Final = (
    "Choose them under Columns, where a value of each is shown, then press Read with these columns."
)
CANCELLING: Final = "Cancelling"
TO_KEEP: Final = 'To keep it, type "{words}"'
PHI_CHOICE_HELP: Final = "What is to happen with what may tell who a patient is."
PHI_TO_DECIDE: Final = (
    "The PHI screen found something: look at the tab PHI screen, and choose at the left what is to "
    "happen with it."
)
PHI_NOTHING: Final = "The PHI screen found nothing in {rows} entries."
PHI_FOUND: Final = "The PHI screen found {places} places in {rows} entries."
PHI_RESPONSIBLE: Final = "You stay responsible for your data."
UNSCREENED: Final = (
    "This dataset was never seen by the PHI screen, so it cannot be trained on. Upload its file "
    "again and prepare it."
)
CLEANING_HELP: Final = (
    "Nothing is changed unless you tick it; see the tab Findings for examples. Your file itself "
    "is never changed."
)
NO_RECORD: Final = "How a dataset was made stands here once it is prepared."
NOTHING_TO_CLEAN: Final = "There is nothing that cleaning would change."
LABEL_HELP: Final = "A column whose values are to be as frequent on both sides."
GROUP_HELP: Final = "A column, such as a patient or a document, whose rows stay together."
LICENCE_HELP: Final = "Where the data is from and who allowed its use; kept with the dataset."
HUB_HELP: Final = (
    "owner/name, or owner/name:config:split. It is fetched to this machine; nothing of yours is "
    "sent."
)
COUNTING: Final = "Counting tokens with the tokenizer of {model} …"
LENGTHS_FIT: Final = (
    "Every entry fits into {length} tokens; the longest has {longest}. Counted with {model}."
)
LENGTHS_CUT: Final = (
    "With at most {length} tokens an entry, {cut} entries ({share}) are cut, {answers} of all "
    "answer tokens are lost, and {lost} entries have no answer left. {for_99} tokens would keep "
    "99 % of the entries whole; the longest has {longest}. Counted with {model}."
)
LENGTHS_LEGEND: Final = (
    "Each bar counts the entries of that length; red ones are longer than the longest entry that "
    "is set in Configure."
)
TERMS: Final = (
    "Tokens of a term on average: {means}. A term in many tokens costs length, and a small model "
    "learns it more slowly; nothing has to be done about it."
)
PROOF_LEGEND: Final = (
    "Entries exactly as the model sees them. Coloured tokens are learned, grey ones only read, "
    "struck ones cut off."
)
PROOF_NOTHING_LEARNED: Final = "Nothing of this entry would be learned: raise the longest entry."
NO_OVERLAP: Final = "No entry to learn from asks what {benchmark} asks."
OVERLAP: Final = (
    "{entries} entries to learn from ask what {benchmark} asks ({exact} the very same, "
    "{normalised} but for case and punctuation, {near} nearly): results on it look better than "
    "they are."
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
MODEL_SUGGESTED: Final = " To begin with on a {card}: {model}."
MODEL_KEPT: Final = "Until another one is chosen, Train keeps {model}."
GPU_NEEDED: Final = "This model needs a graphics card, and this machine has none."

# Train
WHAT_TO_DO: Final = "What to do now"
CONNECTION_LOST: Final = "If the page, the notebook or the machine is lost"
ACCEPT_DIFFERENCES: Final = "Accept differences"
ACCEPT_DIFFERENCES_INFO: Final = (
    "Resume even if package versions, settings or data are not those of the checkpoint."
)
NO_DATASET_TO_TRAIN: Final = (
    "There is no dataset yet. Go to Dataset and use the sample, or your own file."
)
PLAN: Final = (
    "{model}: {steps} steps of {batch} entries, LoRA rank {rank}, learning rate {rate}. "
    "Change them in Configure."
)
START: Final = "Start training"
ADD_TO_QUEUE: Final = "Add to the queue"
RESUME: Final = "Resume"
QUEUE_RESUME: Final = "Add to the queue, to go on"
RESUME_QUEUED: Final = "The run waits in the queue and goes on when its turn comes."
DAMAGED_RUNS: Final = (
    "The record of {ids} is damaged, so it cannot be shown. Its folder is kept in the workspace; "
    "everything else goes on."
)
QUEUE: Final = "Waiting for their turn, the next one first:"
CONTINUE_LAST: Final = "Continue my last run"
BRING_BACK_LAST: Final = "Bring back my last run"
BRING_BACK_DATASETS: Final = "Bring back my datasets ({number})"
READY_TO_TRAIN: Final = "Ready. Press Start training."
STOPPING: Final = "Stopping: the current step ends, then a checkpoint is saved."
NO_RUN: Final = "No run yet. Start one in Train."
NO_POINTS: Final = "Nothing measured yet"
NO_MESSAGES: Final = "Nothing to report."

# Evaluate and Compare
PHI_TYPED: Final = (
    "Nothing was sent yet: the PHI screen takes this for {found}. Take it out, or press the button "
    "once more to send it as it is."
)
NO_FINISHED_RUN: Final = "There is no trained model yet. Start a run in Train and let it end."
NO_EVALUATION: Final = "No results yet. Choose a trained model and press Start."
QUERIES_HELP: Final = "One question a line."
SUMMARY_NOTE: Final = (
    "Scores run from 0 to 1 and measure how much of the reference answer's wording comes back. "
    "They do not measure whether an answer is medically right."
)
LEADING: Final = "Closeness to the reference answers' wording: {verdict}"
SCORES_EXPLAINED: Final = "What the scores mean"
BY_LABEL: Final = "By specialty or label"
MOST_GAINED: Final = "The answers that gained most"
MOST_LOST: Final = "The answers that lost most"
WITHOUT_REFERENCE: Final = (
    "Your own questions have no reference answer, so there are no scores; read the answers below."
)
WRITTEN_ANSWERS: Final = "Written answers"
EXAM: Final = "Exam questions"
EXAM_LEAD: Final = (
    "Published medical exams, or one of your own: both models choose among the options, and the "
    "table says whether training made a difference that can be claimed."
)
EXAM_NONE: Final = "No results yet. Choose a trained model and an exam, and press Start."
EXAM_NOT_HERE: Final = (
    "Exams marked 'from the hub' are fetched when they are first asked. Without a network, add "
    "their file below."
)
EXAM_PLAN_NOTE: Final = (
    "A smaller difference than that can be there and not show. It holds for four in five tries "
    "when the models disagree on a quarter of the questions."
)
EXAM_FILE_HELP: Final = (
    "A question, its options and the right one in each row: Excel, CSV, JSON, JSONL or Parquet. "
    "It stays on this machine."
)
EXAM_OWN: Final = "Questions of my own"
EXAM_HOW: Final = (
    "Each model's answer is the option that it finds most likely (lm-evaluation-harness, without "
    "examples). The bars are 95 % intervals; the dashed line is guessing. Knowing the answers of "
    "an exam does not make a model safe for patients."
)
TAKEAWAY_NOTE: Final = (
    "The report is one page with everything on record of this run, to print, to hand in or to "
    "repeat it from. The zip file holds the fine-tuned adapter in PEFT's format, with the same as "
    "its model card."
)
COMPARE_EMPTY: Final = "The answer will appear here."
COMPARE_READY: Final = (
    "Both answers come from the same model, once without and once with what it learnt."
)
COMPARE_STOPPED: Final = (
    "Stopped. The answers so far stay on the page; the next question continues."
)
COMPARE_LEFT: Final = "Before training"
COMPARE_RIGHT: Final = "After training"
COMPARE_SAME: Final = "Both answers are the same."
COMPARE_DIFFERENCE: Final = "Differences, word by word"
NO_ANSWER: Final = "(This model gave no answer.)"
LIBRARY_HELP: Final = (
    "Written for this project; it goes into your question, where you can change it."
)
SYSTEM_PROMPT_HELP: Final = (
    "What both models are told before the conversation, such as a role; usually nothing."
)
