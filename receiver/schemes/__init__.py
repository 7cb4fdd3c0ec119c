"""Signature schemes: how a provider signs, dates and labels its deliveries. `schemes.toml` is the table."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

from ..contract.records import Body


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scheme:
    """One row. Header names are in lower case. A scheme is equal to itself alone, which makes it a cheap key."""

    title: str
    header: str  # where the signature stands
    parts: tuple[str, ...]  # what is signed: {body}, {timestamp}, {header.name}, or literal text
    source: str  # the page that says so
    digest: str = "sha256"
    encoding: str = "hex"  # hex or base64
    prefix: str = ""  # what stands before the digest
    version: str = ""  # set: the value is a space list of "version,digest", and only this version counts
    key: str = "text"  # text, or base64 with an optional whsec_
    timestamp: str = ""  # header with unix seconds
    tolerance: int = 0  # seconds that the timestamp may lie in the past or in the future
    id_header: str = ""  # names the event
    id_fields: tuple[str, ...] = ()  # top-level fields of the body that are sure to; "id:evt" wants that beginning
    type_header: str = ""
    type_field: str = ""  # top-level field of the body, where no header names the type
    type_echo: tuple[str, ...] = ()  # fields that repeat the type if their value is one of types
    types: tuple[str, ...] = ()  # the provider's catalogue
    body: Body = Body.JSON
    confidence: str = "docs"


@cache
def table() -> dict[str, Scheme]:
    """Every scheme by its name."""
    rows = tomllib.loads(files(__package__).joinpath("schemes.toml").read_text("utf-8"))
    return {name: msgspec.convert(row, Scheme) for name, row in rows.items()}
