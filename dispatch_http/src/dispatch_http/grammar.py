"""What ids and header values may look like. Whatever else comes never reaches the core, a store or a log."""

from __future__ import annotations

import re

JOB_ID = re.compile(r"[a-z0-9-]{1,64}")
KEY_ID = re.compile(r"[a-z0-9-]{1,64}")
ENGINE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
POOL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LIMIT_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,119}")
CAMPAIGN = re.compile(r"\.*[^/.][^/]*")
WINDOW_ID = re.compile(r"[a-z0-9-]{1,64}")
ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
RECEIPT_KEY = re.compile(r"[\x21-\x7e]{1,255}")
BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/=-]{1,512})")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(:[0-9]{1,5})?")
