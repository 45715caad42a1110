"""The report of what was found in a file, to keep and to send: one HTML page, or a CSV.

It names columns, counts, rows and places, and never text of a row. Everything that comes from a
file is escaped, and no cell of the CSV can be taken for a formula.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from medqlora.data.cleaning import CLEANING_STEPS
from medqlora.domain.dataset import DatasetCard, ReadResult, ValidationIssue
from medqlora.domain.preparing import Draft
from medqlora.errors import ConfigError
from medqlora.persistence.atomic import write_text

CSV_COLUMNS = ("severity", "code", "finding", "count", "row", "place", "cleaning")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{border:1px solid #c5ccd3;padding:.35rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#eef1f4}.error{color:#8f1d1d}.warning{color:#6b4a00}"
)
_NO_FINDINGS = "Nothing was found that needs attention."

Checked = ReadResult | Draft | DatasetCard
"""What a report is about: a file as it was read, or a dataset as it was prepared."""


def report_html(checked: Checked) -> str:
    """The report as one page that needs nothing else."""
    name = html.escape(checked.name)
    counts = asdict(checked.validation.counts)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>Data report: {name}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Data report: {name}</h1>",
        _table(("", "value"), _facts(checked)),
        "<h2>Counts</h2>",
        _table(("count", "value"), [(key, f"{value:,}") for key, value in counts.items()]),
        "<h2>Findings</h2>",
        _findings(checked.validation.issues),
        "<h2>About the file</h2>" if checked.warnings else "",
        "".join(f"<p>{html.escape(text)}</p>" for text in checked.warnings),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def report_csv(checked: Checked) -> str:
    """The findings as CSV, a line for each row that a finding names.

    It begins with a byte order mark, by which spreadsheets know that it is UTF-8.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for issue in checked.validation.issues:
        writer.writerows(map(_safe, line) for line in _lines(issue))
    for warning in checked.warnings:
        writer.writerow(map(_safe, ("warning", "file", warning, "", "", "", "")))
    return "\ufeff" + text.getvalue()


def check_report_name(path: Path) -> None:
    """Refuses a name of a report that does not say of which kind it is to be.

    Raises:
        ConfigError: It ends with neither .html nor .csv.
    """
    if path.suffix.lower() not in _KINDS:
        raise ConfigError(
            f"A report cannot be written as {path.name}.",
            hint="Give a name that ends with .html or .csv.",
        )


def write_report(path: Path, checked: Checked) -> None:
    """Writes the report as the name of the file says, .html or .csv.

    Raises:
        ConfigError: The name says neither.
        StorageUnavailableError: The folder cannot be written.
        DiskFullError: No space is left.
    """
    check_report_name(path)
    write_text(path, _KINDS[path.suffix.lower()](checked))


def what_cleaning_does(code: str) -> str:
    """What the cleaning step that answers a finding does; empty when there is none."""
    step = CLEANING_STEPS.get(code)
    return f"{step.title}: {step.does}" if step else ""


def _facts(checked: Checked) -> list[tuple[str, str]]:
    mapping = checked.mapping
    facts = [
        ("Format", checked.format),
        ("Encoding", checked.encoding),
        ("Columns", ", ".join(checked.columns)),
        ("Question", " + ".join(mapping.prompt)),
        ("Answer", mapping.response),
        ("Context", mapping.context or ""),
        ("Options", " + ".join(mapping.options)),
        ("Why read so", f"{mapping.reason} (confidence {mapping.confidence:.2f})"),
    ]
    return [(name, value) for name, value in facts if value]


def _findings(issues: Sequence[ValidationIssue]) -> str:
    if not issues:
        return f"<p>{_NO_FINDINGS}</p>"
    names = ("severity", "finding", "rows", "what cleaning can do")
    rows = "".join(
        f'<tr><td class="{one.severity}">{one.severity}</td><td>{html.escape(one.message)}</td>'
        f"<td>{html.escape(_where(one))}</td><td>{html.escape(what_cleaning_does(one.code))}</td>"
        "</tr>"
        for one in issues
    )
    return f"<table>{_head(names)}{rows}</table>"


def _where(issue: ValidationIssue) -> str:
    places = issue.places or tuple(f"row {row}" for row in issue.rows)
    more = f" and {issue.count - len(places):,} more" if 0 < len(places) < issue.count else ""
    return ", ".join(places) + more


def _table(names: Iterable[str], rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table>{_head(names)}{body}</table>"


def _head(names: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in names) + "</tr>"


def _lines(issue: ValidationIssue) -> Iterator[tuple[object, ...]]:
    about = (issue.severity, issue.code, issue.message, issue.count)
    cleaning = what_cleaning_does(issue.code)
    if not issue.rows:
        yield *about, "", "", cleaning
    for row, place in zip(issue.rows, issue.places, strict=True):
        yield *about, row, place, cleaning


def _safe(value: object) -> object:
    """A value that no spreadsheet computes: what begins like a formula gets a quote before it."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


_KINDS: Mapping[str, Callable[[Checked], str]] = {".html": report_html, ".csv": report_csv}
