"""The deliveries and handshakes of tests/data/vectors.json."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from receiver.delivery import Delivery, inflate
from receiver.schemes import Scheme, load_schemes

DATA = json.loads((Path(__file__).parents[1] / "data/vectors.json").read_text())


def row(entry: dict[str, Any]) -> Scheme:
    found = load_schemes().get(entry.get("scheme", "")) or load_schemes()[entry["provider"]]
    wanted = entry.get("tolerance_seconds")
    return found if wanted is None else replace(found, tolerance=wanted)


def delivery(request: dict[str, Any], scheme: Scheme) -> Delivery:
    headers = [(name.lower().encode(), value.encode()) for name, value in request["headers"]]
    raw = base64.b64decode(request["body_b64"])
    body = inflate(raw, 1 << 20) if scheme.gzip and (b"content-encoding", b"gzip") in headers else raw
    return Delivery(headers, body, request["method"], request["url"], raw)
