"""Words become HTML: the few shapes that the tabs share, everything in them escaped.

`gr.HTML` is the one component that would run what it is given, so HTML is made here and nowhere
else. What the words say is for `present` and `wording`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Literal

Tone = Literal["plain", "good", "warn", "bad"]


def safe(text: object) -> str:
    """`text` escaped for HTML, and for the template language of `gr.HTML`."""
    return escape(str(text)).replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def lead(what: str, then: str) -> str:
    """The opening sentence of a tab, and where to go next."""
    return f'<p class="mq-lead">{safe(what)} <span>{safe(then)}</span></p>'


def heading(text: str) -> str:
    """A heading inside a tab."""
    return f'<h2 class="mq-heading">{safe(text)}</h2>'


def note(text: str) -> str:
    """A sentence in small print."""
    return f'<p class="mq-note">{safe(text)}</p>'


def notice(text: str, tone: Tone = "plain") -> str:
    """One sentence that stays on the page; nothing at all for an empty text."""
    return f'<p class="mq-notice mq-{tone}" role="status">{safe(text)}</p>' if text else ""


def empty(text: str) -> str:
    """What stands where there is nothing yet."""
    return f'<p class="mq-empty">{safe(text)}</p>'


def facts(pairs: Mapping[str, str]) -> str:
    """Small tiles, each a figure under its name."""
    tiles = "".join(
        f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in pairs.items()
    )
    return f'<dl class="mq-facts">{tiles}</dl>'


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str,
    numeric: bool = False,
    whole: bool = False,
) -> str:
    """A table that scrolls within its own box.

    Args:
        headers: Names of the columns.
        rows: Cells, row by row.
        caption: What the table holds, for screen readers.
        numeric: Whether all columns but the first hold figures.
        whole: Whether it is as high as it needs to be, because every row counts.
    """
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{safe(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    kind = (" mq-numeric" if numeric else "") + (" mq-whole" if whole else "")
    return (
        f'<div class="mq-table{kind}" tabindex="0" role="region" '
        f'aria-label="{safe(caption)}"><table>'
        f"<caption>{safe(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def record(rows: Iterable[tuple[str, str]], *, caption: str) -> str:
    """What is on record, line by line: what it is, and its value."""
    body = "".join(
        f'<tr><th scope="row">{safe(name)}</th><td>{safe(value)}</td></tr>' for name, value in rows
    )
    return (
        f'<div class="mq-table mq-record" tabindex="0" role="region" aria-label="{safe(caption)}">'
        f"<table><tbody>{body}</tbody></table></div>"
    )


def reasons(rows: Iterable[tuple[str, str, str]]) -> str:
    """Chosen values, each with its reason."""
    items = "".join(
        f"<li><b>{safe(name)}</b> <code>{safe(value)}</code><span>{safe(reason)}</span></li>"
        for name, value, reason in rows
    )
    return f'<ul class="mq-reasons">{items}</ul>'


def sentences(rows: Iterable[tuple[str, Tone, str]]) -> str:
    """Sentences to read, one a line: when or how many, how serious, what."""
    items = "".join(
        f'<li class="mq-{tone}"><small>{safe(mark)}</small><span>{safe(text)}</span></li>'
        for mark, tone, text in rows
    )
    return f'<ul class="mq-sentences">{items}</ul>'


def steps(title: str, texts: Iterable[str]) -> str:
    """What to do, one thing after the other."""
    items = "".join(f"<li>{safe(text)}</li>" for text in texts)
    return f'<div class="mq-steps"><b>{safe(title)}</b><ol>{items}</ol></div>'


def accuracies(
    rows: Iterable[tuple[str, float, tuple[float, float]]], *, chance: float, caption: str
) -> str:
    """Shares with their intervals on one scale from 0 to 100 %, and where guessing lies.

    Args:
        rows: Name, share and interval, the last two from 0 to 1.
        chance: What guessing scores, 0 to 1.
        caption: What the picture shows, for screen readers.
    """
    lines = "".join(
        f'<div class="mq-scale-row"><b>{safe(name)}</b><div class="mq-scale-line">'
        f'<i class="mq-scale-chance" style="left:{100 * chance:.2f}%"></i>'
        f'<i class="mq-scale-span" style="left:{100 * low:.2f}%;'
        f'width:{100 * (high - low):.2f}%"></i>'
        f'<i class="mq-scale-point" style="left:{100 * share:.2f}%"></i></div>'
        f"<span>{100 * share:.1f} % <small>({100 * low:.0f} to {100 * high:.0f})</small></span>"
        "</div>"
        for name, share, (low, high) in rows
    )
    return f'<div class="mq-scale" role="img" aria-label="{safe(caption)}">{lines}</div>'


def section(title: str, *parts: str) -> str:
    """A titled box around parts that are HTML already."""
    return f'<section class="mq-box"><h3>{safe(title)}</h3>{"".join(parts)}</section>'


def details(summary: str, *parts: str) -> str:
    """Parts that are HTML already, folded away under a summary."""
    return (
        f'<details class="mq-details"><summary>{safe(summary)}</summary>{"".join(parts)}</details>'
    )


def progress(label: str, share: float | None, *, detail: str = "", tone: Tone = "plain") -> str:
    """A bar with what is being done; without a share it only moves.

    Args:
        label: What is being done.
        share: Share done, 0 to 1, or None while it cannot be told.
        detail: What to say at the right-hand end.
        tone: How it stands.
    """
    share_text = "" if share is None else f' aria-valuenow="{round(share * 100)}"'
    width = "" if share is None else f' style="width:{share * 100:.1f}%"'
    moving = " mq-moving" if share is None else ""
    return (
        f'<div class="mq-progress mq-{tone}"><div class="mq-progress-text"><b>{safe(label)}</b>'
        f"<span>{safe(detail)}</span></div>"
        f'<div class="mq-bar{moving}" role="progressbar" aria-label="{safe(label)}"'
        f' aria-valuemin="0"'
        f' aria-valuemax="100"{share_text}><i{width}></i></div></div>'
    )
