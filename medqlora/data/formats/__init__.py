"""Readers, one module for each kind of file, and the table that picks one by content.

A reader takes a file on disk and gives its tables of raw rows, each row with its number and its
place. What the columns mean is for `data.columns`. A new format is one module and one line in
`FORMATS`.
"""

from medqlora.data.formats.picking import FORMATS, check_kind, open_tables
from medqlora.data.formats.rows import Row, Table

__all__ = ["FORMATS", "Row", "Table", "check_kind", "open_tables"]
