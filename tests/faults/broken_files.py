"""Files that are broken or hostile, each made by code: what to write, and what has to be said."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

GOOD = json.dumps({"question": "What is gout?", "answer": "A joint disease."})
CSV = "question,answer\nWhat is gout?,A joint disease.\nWhat is rest?,A way to heal.\n"
_LONG = 100_000


class Trap:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        import os

        return (os.mkdir, ("trap-was-sprung",))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def linked(target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("rows.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, target)
    return buffer.getvalue()


def with_many_files() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(25_000):
            archive.writestr(str(number), b"")
    return buffer.getvalue()


def with_long_list() -> bytes:
    """An archive whose last record claims a list of 3 GB."""
    content = bytearray(zipped({"a.csv": CSV.encode()}))
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<I", 3_000_000_000)
    return bytes(content)


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("../../rows.csv")
        info.size = len(CSV)
        archive.addfile(info, io.BytesIO(CSV.encode()))
    return buffer.getvalue()


def parquet(columns: dict[str, list[Any]], **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


def repeated_parquet() -> bytes:
    import pyarrow as pa

    text = pa.array(["x" * 300_000])
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), text)
    return parquet({"question": rows, "answer": rows}, compression="zstd")


def workbook(*sheets: tuple[str, list[tuple[Any, ...]]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + zlib.compress(bytes(500))


Content = str | bytes | Callable[[], bytes]

BROKEN: dict[str, tuple[Content, str]] = {
    # nothing in it
    "no bytes": ("", "is empty"),
    "byte order mark alone": (b"\xef\xbb\xbf", "is empty"),
    "UTF-16 mark alone": (b"\xff\xfe", "is empty"),
    "header alone": ("question,answer\n", "holds 0 rows"),
    "header alone in UTF-16": ("question,answer\n".encode("utf-16"), "holds 0 rows"),
    "null": ("null", "not a table"),
    "empty lists": ('{"train": [], "test": []}', "holds 0 rows"),
    "workbook without cells": (lambda: workbook(("A", [])), "no sheet with a table"),
    "workbook with a header alone": (
        lambda: workbook(("A", [("question", "answer")])),
        "holds 0 rows",
    ),
    "Parquet without rows": (lambda: parquet({"question": [], "answer": []}), "holds 0 rows"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
    "zip of nothing": (zipped({}), "not text"),
    "zip of an empty file": (zipped({"a.csv": b""}), "is empty"),
    # cut off
    "JSON cut in a string": (f"[{GOOD}, {GOOD[:20]}", "not complete JSON (at its line 1"),
    "JSON cut between rows": (f"[{GOOD},", "not complete JSON"),
    "gzip cut": (gzip.compress(CSV.encode() * 50)[:-9], "cannot be unpacked"),
    "gzip with a wrong sum": (gzip.compress(CSV.encode())[:-8] + bytes(8), "cannot be unpacked"),
    "zip cut": (zipped({"a.csv": CSV.encode() * 99})[:-40], "damaged"),
    "Parquet cut": (lambda: parquet({"q": ["a"] * 99, "a": ["b"] * 99})[:-30], "cannot be read"),
    "workbook cut": (lambda: workbook(("A", [("q", "a")]))[:-60], "damaged"),
    "XML cut": ("<Document><QAPairs><QAPair><Question>What", "broken or cut off"),
    # something else under a table's name
    "tar": (tarred, "no kind that can be read"),
    "tar in gzip": (lambda: gzip.compress(tarred()), "no kind that can be read"),
    "picture": (_png, "a picture"),
    "sound": (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 9, "not text"),
    "SQLite": (b"SQLite format 3\x00" + bytes(100), "an SQLite database"),
    "OpenDocument": (zipped({"content.xml": b"<x/>", "mimetype": b"y"}), "an OpenDocument file"),
    "shell script": ("#!/bin/sh\nrm -rf /\necho done\n", "not a table"),
    "source code": ("def f(x):\n    return x + 1\n\n\nprint(f(2))\n", "not a table"),
    "HTML page in UTF-16": ("<html><body>hello</body></html>".encode("utf-16"), "a web page"),
    "RTF": ("{\\rtf1\\ansi hello, world}", "an RTF document"),
    "text of one column": ("gout\nfever\ncough\nrest\n", "not a table"),
    # what could run
    "pickle, protocol 0": (lambda: pickle.dumps(Trap(), protocol=0), "not a table"),
    "pickle, protocol 2": (lambda: pickle.dumps(Trap(), protocol=2), "pickle"),
    "pickle, protocol 5": (lambda: pickle.dumps(Trap(), protocol=5), "pickle"),
    "pickle in gzip": (lambda: gzip.compress(pickle.dumps(Trap())), "pickle"),
    "pickle in a zip": (lambda: zipped({"a.csv": pickle.dumps(Trap())}), "pickle"),
    "checkpoint": (lambda: zipped({"m/data.pkl": pickle.dumps(Trap())}), "checkpoint"),
    # archives that would get out or grow
    "link in a zip": (lambda: linked("/etc/passwd"), "without any files"),
    "link out of a zip": (lambda: linked("../../../etc/passwd"), "without any files"),
    "25,000 files in a zip": (with_many_files, "too many files"),
    "list of 3 GB in a zip": (with_long_list, "too many files"),
    "zip in a zip": (lambda: zipped({"a.zip": zipped({"b": b"x"})}), "archive inside"),
    "gzip in a gzip": (gzip.compress(gzip.compress(CSV.encode())), "archive inside"),
    "gzip of 600 MB": (lambda: gzip.compress(bytes(10_000_000)) * 60, "more than 500 MB"),
    "zip of 600 MB": (
        lambda: zipped({f"{n}.csv": bytes(100_000_000) for n in range(6)}),
        "more than 500 MB",
    ),
    "workbook of 300 MB": (
        lambda: zipped({"xl/workbook.xml": b"<a/>", "xl/sharedStrings.xml": bytes(300_000_000)}),
        "more than 200 MB",
    ),
    "Parquet of 3 GB": (repeated_parquet, "more than 500,000,000 characters"),
    "Parquet with one text of 450 MB": (
        lambda: parquet({"q": ["x" * 450_000_000], "a": ["b"]}, compression="zstd"),
        "far too long",
    ),
    # deep, long, or too many
    "JSON 100,000 deep": (f"[{'[' * _LONG}{']' * _LONG}]", "nested too deeply"),
    "objects 100,000 deep": ('{"a":' * _LONG + "1" + "}" * _LONG, "nested too deeply"),
    "JSONL 100,000 deep": ("\n".join(['{"a":' + "[" * _LONG] * 3), "nested too deeply"),
    "XML 100,000 deep": ("<a>" * _LONG + "</a>" * _LONG, "holds 0 rows"),
    "number of 5,000 digits": (f'[{{"question": {"9" * 5000}}}]', "thousands of digits"),
    "30 million empty objects": (lambda: b"[" + b"{}," * 30_000_000 + b"{}]", "more than 8,0"),
    "a line of 100 MB": (lambda: b"question,answer\n" + b"x" * 100_000_000, "more than 8,0"),
    "XML bomb": (
        '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><d><QAPair>&b;</QAPair></d>',
        "defines entities",
    ),
    # tables, but none that can be learned from
    "every row ragged": ("q,a\n1,2,3\n4\n", "line 2 has 3 cells where 2 are expected"),
    "list of numbers": ("[1, 2, 3]", "row 1 is not a JSON object"),
    "halves of characters": ('{"question": "\\ud83d?", "answer": "b"}\n' * 3, "that are broken"),
}
"""Files that are refused: what is in them, and a part of the sentence that says why."""

ASKED: dict[str, tuple[Content, tuple[str, ...]]] = {
    "numbers": ("age,weight\n40,80\n50,90\n", ("age", "weight")),
    "laboratory values": (
        lambda: workbook(("Lab", [("Date", "Na", "K"), ("2024-01-01", 140, 4.1)])),
        ("Date", "Na", "K"),
    ),
    "a budget with formulas": (
        lambda: workbook(("Costs", [("Item", "Price"), ("Bed", 10), ("Sum", "=SUM(B2:B2)")])),
        ("Item", "Price"),
    ),
    "preferences": (
        '{"prompt": "a b?", "chosen": "c d", "rejected": "e f"}\n' * 2,
        ("prompt", "chosen", "rejected"),
    ),
    "settings": ('{"rank": 16, "alpha": 32}', ("key", "value")),
    "answers that are numbers": ('[{"question": "a?", "answer": 1}]', ("question", "answer")),
    "two columns of one name": ("question,answer,answer\na,b,c\n", ()),
}
"""Tables that are something else, or whose meaning is open: the user is asked, with the columns."""
