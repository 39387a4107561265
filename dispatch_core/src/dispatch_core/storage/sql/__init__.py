"""Stores in SQL databases, through SQLAlchemy Core. This version knows SQLite."""

from dispatch_core.storage.sql.sqlite import SqliteFile, SqliteMemory
from dispatch_core.storage.sql.storage import SqlStorage

__all__ = ["SqlStorage", "SqliteFile", "SqliteMemory"]
