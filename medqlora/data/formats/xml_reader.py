"""XML collections of medical questions: MedQuAD and LiveQA; other XML has no rows here.

Entities, and with them XML bombs, are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from medqlora.data.formats.rows import MAX_DOCUMENT_BYTES, Row, Source, Table, check_size, refused

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_Values = dict[str, Any]


def read_xml(source: Source) -> list[Table]:
    """The questions of an XML file, one row for each of their answers.

    Raises:
        DataError: It is too large; broken XML is noticed while its rows are read.
    """
    check_size(source, MAX_DOCUMENT_BYTES, hint="Split it into smaller files.")
    return [Table("xml", "binary", (), _rows(source))]


def _rows(source: Source) -> Iterator[Row]:
    for number, values in enumerate(_values(source), start=1):
        yield Row(number, f"answer {number}", values)


def _values(source: Source) -> Iterator[_Values]:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    try:
        for _, element in iterparse(str(source.path), events=("end",)):
            if rows := _QUESTIONS.get(element.tag):
                yield from rows(element)
                element.clear()
    except DefusedXmlException as error:
        raise refused(
            source,
            "is XML that defines entities, which is not read.",
            hint="Give the data as CSV or JSON.",
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        raise refused(
            source, "is XML that is broken or cut off.", hint="Export or download it again."
        ) from error


def _medquad(pair: Element) -> Iterator[_Values]:
    question = pair.find("Question")
    kind = question.get("qtype") if question is not None else None
    yield {"question": _text(question), "answer": _text(pair.find("Answer")), "qtype": kind}


def _liveqa(question: Element) -> Iterator[_Values]:
    asked = _text(question.find("Original-Question/MESSAGE")) or _text(
        question.find("Original-Question/SUBJECT")
    )
    for answer in question.iter("ANSWER"):
        yield {"question": asked, "answer": _text(answer), "qid": question.get("qid")}


def _text(element: Element | None) -> str:
    return "".join(element.itertext()).strip() if element is not None else ""


_QUESTIONS: Mapping[str, Callable[[Element], Iterator[_Values]]] = {
    "QAPair": _medquad,
    "NLM-QUESTION": _liveqa,
}
