"""Stores: ``MemoryStorage`` for tests and embedding, and ``create_storage`` for a store named by a URL or path."""

from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.storage.opening import create_storage

__all__ = ["MemoryStorage", "create_storage"]
