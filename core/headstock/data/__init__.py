"""Reads data: what a recipe's ``data`` section names becomes tables of rows, cut into splits."""

from headstock.data.cache_dir import cache_dir
from headstock.data.config import DataConfig
from headstock.data.load import load_table
from headstock.data.splits import load_evaluation, load_splits
from headstock.data.table import MemoryRows, Table

__all__ = ["DataConfig", "MemoryRows", "Table", "cache_dir", "load_evaluation", "load_splits", "load_table"]
