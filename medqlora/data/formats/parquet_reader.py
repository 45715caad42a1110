"""Parquet: tables as data tools write them. Nested columns stay nested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medqlora.data.formats.rows import Row, Source, Table, refused

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH_ROWS = (
    64  # a dictionary can make a small file hold huge rows; few at a time keep memory bounded
)
_MAX_CHUNK_BYTES = 400_000_000
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
        chunks = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
        if any(chunk.total_uncompressed_size > _MAX_CHUNK_BYTES for chunk in chunks):
            what = f"is a Parquet file with a block of more than {_MAX_CHUNK_BYTES / 1e6:,.0f} MB."
            raise refused(source, what, hint="Write it again with smaller row groups.")
    return [Table("parquet", "binary", columns, _rows(source, file, columns))]


def _rows(source: Source, file: ParquetFile, columns: tuple[str, ...]) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    try:
        with file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                cells = [column.to_pylist() for column in batch.columns]
                for values in zip(*cells, strict=True):
                    number += 1
                    yield Row(number, f"row {number}", dict(zip(columns, values, strict=True)))
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise refused(
            source, f"is a Parquet file that cannot be read after row {number}.", hint=_DAMAGED
        ) from error
