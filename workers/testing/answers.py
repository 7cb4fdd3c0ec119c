"""Answers calls to other APIs than Zyra's, and records them."""

import re
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec

from ..sandbox.in_process import RecordedCall

Documents = Mapping[str, Any]
NAME = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE) https?://\S+")


class Answers:
    """documents: what stands where, such as {"GET https://api.github.com/user": {"login": "octocat"}}; or a status and
    a document. What is not named is answered 200 and {}.
    """

    def __init__(self, documents: Documents | None = None) -> None:
        for name in documents or {}:
            if not NAME.fullmatch(name):
                raise ValueError(f'answers= names calls like "GET https://api.github.com/user", not {name!r}')
        self._documents = dict(documents or {})
        self.calls: list[RecordedCall] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        names = (f"{request.method} {url}", f"{request.method} {url.partition('?')[0]}")
        found: Any = next((self._documents[name] for name in names if name in self._documents), {})
        status, document = found if isinstance(found, tuple) else (200, found)
        body = msgspec.json.decode(request.content) if request.content else None
        self.calls.append(RecordedCall(method=request.method, path=url, body=body, status=status))
        return httpx2.Response(status, json=document)
