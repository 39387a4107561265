"""Stores: ``MemoryStorage`` for tests and embedding, ``create_storage`` for a store named by a URL or path.

And their upkeep: backups, checks, restores and migrations.
"""

from dispatch_core.storage.backups import BackupFolder, copy_storage, taken_at
from dispatch_core.storage.files import replacing
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.storage.opening import create_storage
from dispatch_core.storage.reports import (
    Backup,
    Migration,
    Renewal,
    Restoration,
    SharedInfo,
    StoreInfo,
    Tell,
    Verdict,
)
from dispatch_core.storage.upkeep import (
    backup_store,
    migrate_store,
    renew_store,
    restore_store,
    store_info,
    verify_store,
)

__all__ = [
    "Backup",
    "BackupFolder",
    "MemoryStorage",
    "Migration",
    "Renewal",
    "Restoration",
    "SharedInfo",
    "StoreInfo",
    "Tell",
    "Verdict",
    "backup_store",
    "copy_storage",
    "create_storage",
    "migrate_store",
    "renew_store",
    "replacing",
    "restore_store",
    "store_info",
    "taken_at",
    "verify_store",
]
