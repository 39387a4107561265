"""Keys: who is let in."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core import Text
from dispatch_core.forms import KEY_FIELDS
from dispatch_http import forms
from dispatch_http.openapi import answers
from dispatch_http.openapi.operations.operation import CONFLICT, Answer, Operation, Parameter, fields, flag

KEYS: Mapping[str, Operation] = {
    "GET /keys": Operation(
        name="listKeys",
        words="Keys of the tenant, oldest first; the operator sees those of all.",
        query=(
            Parameter("tenant", Text, "Only those of this tenant."),
            flag("revoked", "Those that are revoked, too."),
            fields(KEY_FIELDS),
        ),
        answers={200: Answer(kind=answers.Keys)},
    ),
    "POST /keys": Operation(
        name="createKey",
        words="Create a key. Its `text`, which callers present, is told this once.",
        example={"name": "studio", "scopes": ["submitter"]},
        body=(forms.NewKey,),
        refusals=CONFLICT,
        answers={201: Answer(kind=answers.NewKeyText)},
        links={"key": ("rotateKey", "revokeKey")},
    ),
    "DELETE /keys/{key_id}": Operation(
        name="revokeKey",
        words="Revoke a key, at once here and within a second on other servers.",
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Key)},
    ),
    "POST /keys/{key_id}/rotate": Operation(
        name="rotateKey",
        words="Give a key another secret; the former one stays good for the overlap.",
        example={"overlap_s": 3_600},
        body=(forms.Rotation,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.NewKeyText)},
    ),
}
