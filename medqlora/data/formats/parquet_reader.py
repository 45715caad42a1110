"""Parquet: tables as data tools write them. Nested columns stay nested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medqlora.data.formats.rows import MAX_ROW_CHARS, Row, Source, Table, refused
from medqlora.errors import DataError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH_ROWS = (
    64  # a dictionary can make a small file hold huge rows; few at a time keep memory bounded
)
# One value may fill the memory once it is unpacked; questions and answers are never that long.
_MAX_SMALL_CHUNK = 100_000_000
_MAX_MEAN_BYTES = 100_000
_MAX_BATCH_BYTES = 2 * _BATCH_ROWS * MAX_ROW_CHARS
_DAMAGED = "It may be damaged or cut off; export or download it again."


def read_parquet(source: Source) -> list[Table]:
    """The rows of a Parquet file.

    Raises:
        DataError: It is damaged.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(source.path)
    except (pa.ArrowException, OSError) as error:
        raise refused(source, "is a Parquet file that cannot be read.", hint=_DAMAGED) from error
    columns = tuple(file.schema_arrow.names)
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for index in range(rows.num_columns):
            size = rows.column(index).total_uncompressed_size
            if size > max(_MAX_SMALL_CHUNK, _MAX_MEAN_BYTES * rows.num_rows):
                raise _too_long(source)
    return [Table("parquet", "binary", columns, _rows(source, file, columns))]


def _rows(source: Source, file: ParquetFile, columns: tuple[str, ...]) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    try:
        with file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                if batch.nbytes > _MAX_BATCH_BYTES:
                    raise _too_long(source)
                cells = [column.to_pylist() for column in batch.columns]
                for values in zip(*cells, strict=True):
                    number += 1
                    yield Row(number, f"row {number}", dict(zip(columns, values, strict=True)))
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise refused(
            source, f"is a Parquet file that cannot be read after row {number}.", hint=_DAMAGED
        ) from error


def _too_long(source: Source) -> DataError:
    return refused(
        source,
        "is a Parquet file with values that are far too long for questions and answers.",
        hint="Leave the columns with long values out and write it again.",
    )
