"""For who runs the service."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_http import forms
from dispatch_http.openapi import answers
from dispatch_http.openapi.operations.operation import CONFLICT, Answer, Operation

ADMINISTRATION: Mapping[str, Operation] = {
    "GET /admin/backup": Operation(
        name="listBackups",
        words="The backups in the server's folder, newest first; 409 if it has no folder.",
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Backups)},
    ),
    "POST /admin/backup": Operation(
        name="takeBackup",
        words="Back up the store now into the server's folder, while it is used.",
        refusals=CONFLICT,
        answers={201: Answer(kind=answers.Backup)},
    ),
    "POST /admin/rekey": Operation(
        name="rekeyJobs",
        words="Place pending jobs of all tenants anew, after a change of mode or fleet; repeat with `next`.",
        example={"limit": 100},
        body=(forms.RekeyOrder,),
        answers={200: Answer(kind=answers.Rekeyed)},
    ),
    "POST /admin/purge": Operation(
        name="purgeJobs",
        words="Remove ended jobs of all tenants for good, or count them.",
        example={"dry_run": True, "older_than_s": 7_776_000, "states": ["completed"]},
        body=(forms.PurgeOrder,),
        answers={200: Answer(kind=answers.Purged)},
    ),
}
