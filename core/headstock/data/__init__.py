"""Reads data: what a recipe's ``data`` section names becomes tables of rows, cut into splits."""

from headstock.data.cache.cache_dir import cache_dir
from headstock.data.config import DataConfig
from headstock.data.given_rows import GivenRows, given_row
from headstock.data.load import load_table
from headstock.data.open_columns import columns_of, settled_columns
from headstock.data.splits import load_evaluation, load_splits
from headstock.data.tables.cached_rows import cached_rows
from headstock.data.tables.placed_rows import PlacedRows
from headstock.data.tables.table import MemoryRows, Table

__all__ = [
    "DataConfig",
    "GivenRows",
    "MemoryRows",
    "PlacedRows",
    "Table",
    "cache_dir",
    "cached_rows",
    "columns_of",
    "given_row",
    "load_evaluation",
    "load_splits",
    "load_table",
    "settled_columns",
]
