"""Ground floor of Headstock: what a plugin says about itself and how installed plugins are found.

Imports pluggy and pydantic, never a machine-learning library, so that listing what is installed stays instant.
"""

from headstock_registry.catalogue import Catalogue, Conflict, LeftOut, PluginRecord
from headstock_registry.entries import API_VERSION, KINDS, SUPPORTED_API_VERSIONS, Entry, Source, normalized
from headstock_registry.errors import HeadstockError, NameConflictError, PluginError, UnknownNameError, nearest
from headstock_registry.hookspecs import hookimpl
from headstock_registry.loading import load_catalogue

__all__ = [
    "API_VERSION",
    "KINDS",
    "SUPPORTED_API_VERSIONS",
    "Catalogue",
    "Conflict",
    "Entry",
    "HeadstockError",
    "LeftOut",
    "NameConflictError",
    "PluginError",
    "PluginRecord",
    "Source",
    "UnknownNameError",
    "hookimpl",
    "load_catalogue",
    "nearest",
    "normalized",
]
