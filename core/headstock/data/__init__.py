"""Reads data: what a recipe's ``data`` section names becomes tables of rows, cut into splits."""

from headstock.data.cache.cache_dir import cache_dir
from headstock.data.config import DataConfig
from headstock.data.load import load_table
from headstock.data.splits import load_evaluation, load_splits
from headstock.data.tables.cached_rows import cached_rows
from headstock.data.tables.placed_rows import PlacedRows
from headstock.data.tables.table import MemoryRows, Table

__all__ = [
    "DataConfig",
    "MemoryRows",
    "PlacedRows",
    "Table",
    "cache_dir",
    "cached_rows",
    "load_evaluation",
    "load_splits",
    "load_table",
]
