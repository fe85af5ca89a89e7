"""Parquet, with what the datasets library writes into it: class names, images and sounds as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from headstock.data.cache.store import stored
from headstock.data.columns import Wanted
from headstock.data.tables.arrow_rows import ArrowRows
from headstock.data.tables.values import FilePath, reader_of
from headstock.error_text import reason
from headstock.interfaces import DataError

BATCH = 100
"""Rows that are converted together; small, because a row may hold an image."""


def read_parquet(path: Path, wanted: Wanted) -> ArrowRows:
    """Return the rows of a Parquet file.

    Raises:
        DataError: not a Parquet file, a column is missing, or a column of a type that cannot be read.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
    from datasets import Dataset, Features
    from datasets.arrow_writer import ArrowWriter

    schema = _schema(path)
    found = wanted.find(str(path), schema.names)
    beside = wanted.find_beside(str(path), schema.names, found)
    names = list(dict.fromkeys([*found.values(), *beside.values()]))
    kept = pa.schema([_without_dictionary(schema.field(name)) for name in names], metadata=schema.metadata)
    try:
        features = Features.from_arrow_schema(kept)
    except (ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: {reason(error)}") from error

    def fill(stream: BinaryIO) -> None:
        try:
            with pq.ParquetFile(path) as file, ArrowWriter(stream=stream, features=features) as writer:
                for batch in file.iter_batches(BATCH, columns=names):
                    writer.write_table(pa.Table.from_batches([batch]).select(names).cast(kept))
                writer.finalize(close_stream=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"cannot read {path}: {reason(error)}") from error

    dataset = Dataset.from_file(str(stored(path, ["parquet", names], fill)))
    readers = {column: reader_of(features[source]) for column, source in found.items()}
    readers.update({column: FilePath(path.parent, readers[column]) for column in wanted.files & set(found)})
    kept = {column: (source, reader_of(features[source])) for column, source in beside.items()}
    return ArrowRows(str(path), dataset.with_format("arrow"), found, readers, kept=kept)


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file: {reason(error)}") from error


def _without_dictionary(field: Any) -> Any:
    """A column that pandas wrote as categories is read as the values they stand for."""
    import pyarrow as pa

    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
