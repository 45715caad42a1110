"""Sections of the study report about what went in: data, PHI screen, split, settings, software."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medqlora.config.qlora import QLoRAConfig
from medqlora.config.setting import settings_of
from medqlora.domain.dataset import DatasetCard
from medqlora.domain.document import Block, Bullets, Code, Paragraph, Section, Table
from medqlora.evaluation.study import Study

NOT_RECORDED = "not recorded"
_GONE = Paragraph(
    "The prepared dataset is not in this workspace any more; this is what the run itself recorded.",
    "missing",
)


def data_section(study: Study) -> Section:
    """Where the data came from and what was found and changed."""
    recorded = study.spec.dataset
    rows = [
        ("Name", recorded["name"]),
        ("SHA-256 of the prepared entries and their split", recorded["sha256"]),
    ]
    card = study.card
    if card is None:
        return Section("Data", (_GONE, Table(rows)))
    rows += [("SHA-256 of the file as it was given", card.source_sha256), *_provenance(card)]
    counts = card.validation.counts
    rows += [
        ("Rows found", f"{counts.rows:,}"),
        ("Rows that can be used", f"{counts.valid:,}"),
        ("Missing or empty", f"{counts.missing_or_empty:,}"),
        ("Exact duplicates", f"{counts.dup_exact:,}"),
        ("Same question, other answer", f"{counts.dup_prompt_conflict:,}"),
        ("Columns", ", ".join(card.columns)),
        ("Question", " + ".join(card.mapping.prompt)),
        ("Answer", card.mapping.response),
        ("Context", card.mapping.context or "none"),
        ("Cleaning", _cleaning(card)),
        ("Note on licence and permission", card.licence or NOT_RECORDED),
    ]
    findings = [f"{issue.message} ({issue.count})" for issue in card.validation.issues]
    return Section("Data", (Table(rows), *([Bullets(findings)] if findings else [])))


def _provenance(card: DatasetCard) -> list[tuple[str, str]]:
    source = card.provenance
    if source is None:
        return [("Provenance", NOT_RECORDED)]
    return [
        ("Source", source.name),
        ("Revision on the hub", source.revision or "not from the hub"),
        ("Licence as the hub states it", source.licence or "none stated"),
        ("Size", f"{source.num_bytes:,} bytes"),
        ("Format and encoding", f"{source.format}, {source.encoding}"),
        ("Read", f"{source.read_at} by medqlora {source.app_version}"),
    ]


def _cleaning(card: DatasetCard) -> str:
    done = card.cleaning
    if done is None or not done.steps:
        return "none"
    return (
        f"{', '.join(done.steps)}: {done.num_rows_changed} rows changed, "
        f"{done.num_rows_dropped} left out"
    )


def phi_section(study: Study) -> Section:
    """What the PHI screen found and what was done about it."""
    found: Mapping[str, Any] | None = study.spec.dataset.get("screening")
    limit = Paragraph(
        "A PHI screen helps to find identifiers; it cannot certify that none is left."
    )
    if not found:
        return Section("PHI screen", (Paragraph("Not recorded.", "missing"), limit))
    counts = ", ".join(f"{kind} {n}" for kind, n in found["counts"].items()) or "nothing"
    rows = [
        ("Rows screened", f"{found['num_rows']:,}"),
        ("Found, by kind", counts),
        ("Rows in which something was found", f"{found['rows_touched']:,}"),
        ("What was done", found["action"]),
        ("Rows left out", f"{found['rows_dropped']:,}"),
        ("Rules", f"version {found['rules_version']}"),
        ("Screened", found["screened_at"]),
    ]
    if found["confirmation"]:
        rows.append(("Typed to keep what was found", found["confirmation"]))
    return Section("PHI screen", (Table(rows), limit))


def split_section(study: Study) -> Section:
    """How entries were held out, and what both sides share."""
    recorded, card = study.spec.dataset, study.card
    rows = [
        ("Entries to learn from", f"{recorded['num_train']:,}"),
        ("Entries held out", f"{recorded['num_eval']:,}"),
        ("Seed of the split", str(recorded["seed"])),
    ]
    if card is None or card.split is None:
        return Section("Split", (Table(rows), Paragraph("How is not recorded.", "missing")))
    split = card.split
    together = split.group or ("context" if split.by_context else "question")
    rows += [
        ("Kept on one side", f"rows with the same {together} ({split.num_groups:,} groups)"),
        ("Alike on both sides", split.label or "no column"),
    ]
    blocks: list[Block] = [Table(rows)]
    if split.train_labels:
        labels = [
            (label, str(number), str(split.eval_labels.get(label, 0)))
            for label, number in split.train_labels.items()
        ]
        blocks.append(Table(labels, (split.label or "Label", "To learn from", "Held out")))
    blocks.append(
        Table(
            [
                (
                    one.benchmark,
                    *map(str, (one.num_items, one.num_exact, one.num_normalised)),
                    str(one.num_near),
                )
                for one in card.overlaps
            ],
            ("Compared with", "Questions", "Exactly", "But for case and spaces", "Nearly"),
        )
        if card.overlaps
        else Paragraph("Overlap was not looked for.", "missing")
    )
    return Section("Split and overlap", blocks)


def model_section(study: Study) -> Section:
    """The base model and every setting."""
    config = study.spec.config
    known = settings_of(QLoRAConfig)
    rows = [
        (f"{known[name].label} ({name})" if name in known else name, _shown(value))
        for name, value in config.items()
    ]
    changed = [
        one.text for one in study.snapshot.messages if one.level == "info" and "→" in one.text
    ]
    note = (
        Bullets(changed)
        if changed
        else Paragraph("No setting was changed while the run was going on.")
    )
    adapter = study.adapter_sha256 or "there is no adapter yet"
    return Section(
        "Model and settings", (Table(rows), note, Table([("SHA-256 of the adapter", adapter)]))
    )


def imported_section(study: Study) -> Section:
    """What an adapter that was made elsewhere says of itself."""
    config = QLoRAConfig.from_dict(study.spec.config).to_dict()
    known = settings_of(QLoRAConfig)
    named = ("model_name", "model_revision", "rank", "alpha", "dropout", "target_modules")
    rows = [(f"{known[name].label} ({name})", _shown(config[name])) for name in named]
    rows += [("SHA-256 of the adapter", study.adapter_sha256), ("Imported", study.spec.created_at)]
    return Section("Adapter", (Table(rows),))


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def software_section(study: Study) -> Section:
    """Versions, seeds and the machine's memory."""
    memory = study.snapshot.last_memory
    limit = f"{memory.limit_gib:.1f} GiB ({memory.source})" if memory else NOT_RECORDED
    rows = [
        *study.spec.versions.items(),
        ("Seed of the training", str(study.spec.config["seed"])),
        ("Seed of the split", str(study.spec.dataset["seed"])),
        ("Memory there was", limit),
        ("Attempts", str(study.snapshot.attempt)),
        ("Begun", study.spec.created_at),
        (
            "Last event",
            f"{study.snapshot.updated_at:%Y-%m-%dT%H:%M:%S+00:00}"
            if study.snapshot.updated_at
            else NOT_RECORDED,
        ),
    ]
    phases: list[Block] = (
        [Paragraph("What the run did:"), Bullets(study.phases)] if study.phases else []
    )
    return Section("Software, seeds and machine", (Table(rows), *phases))


def repeat_section(study: Study) -> Section:
    """What to type to do it again."""
    card = study.card
    settings: dict[str, Any] = dict(study.spec.config)
    words = ["python -m medqlora train --config settings.json"]
    if study.is_sample:
        settings["dataset"] = "sample"
    else:
        words.append("--data FILE")
    if card:
        settings |= {"eval_share": card.eval_share, "split_seed": card.seed}
        words += _choices(card, is_sample=study.is_sample)
    blocks: list[Block] = [
        Paragraph(
            "With the versions above and the file whose SHA-256 is above. Save this as "
            "settings.json:"
        ),
        Code(json.dumps(settings, indent=1, ensure_ascii=False)),
    ]
    if card and not study.is_sample:
        blocks += [
            Paragraph("And this as mapping.json:"),
            Code(json.dumps(_mapping(card), indent=1, ensure_ascii=False)),
        ]
    asked = next(
        (one.spec for one in reversed(study.evaluations) if one.spec.kind == "evaluate"), None
    )
    commands = [" ".join(words)]
    if asked:
        commands.append(
            f"python -m medqlora evaluate RUN --limit {asked.dataset['num_queries']} "
            f"--max-new-tokens {asked.options['max_new_tokens']}"
        )
    blocks += [
        Paragraph("Then, with RUN being the id that the first command prints:"),
        Code("\n".join([*commands, "python -m medqlora report RUN"])),
        Paragraph(
            "The dataset is the same if the SHA-256 of the prepared entries is. On the same CPU "
            "the same seed gives the same adapter; on a GPU sums are added in another order, and "
            "losses agree only nearly."
        ),
    ]
    return Section("How to repeat this run", blocks)


def _choices(card: DatasetCard, *, is_sample: bool) -> list[str]:
    words = [] if is_sample else ["--map-file mapping.json"]
    if card.screening:
        words.append(f"--phi {card.screening.action}")
        if card.screening.confirmation:
            words.append(f'--phi-confirm "{card.screening.confirmation}"')
    if card.cleaning and card.cleaning.steps:
        words.append(f"--clean {','.join(card.cleaning.steps)}")
    if card.split and card.split.label:
        words.append(f"--label {json.dumps(card.split.label, ensure_ascii=False)}")
    if card.split and card.split.group:
        words.append(f"--group {json.dumps(card.split.group, ensure_ascii=False)}")
    return words


def _mapping(card: DatasetCard) -> dict[str, Any]:
    mapping = card.mapping
    return {
        "prompt": list(mapping.prompt),
        "response": mapping.response,
        "context": mapping.context,
        "options": list(mapping.options),
        "answer_by": mapping.answer_by,
    }
