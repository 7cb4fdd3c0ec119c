"""What is wrong with how a secret or a source looks, for `check`. No part of a secret is shown."""

import re
from collections.abc import Iterator

from receiver.signatures.verify import PUBLIC, decode_key
from receiver.sources import Source

MIN_CHARACTERS = 8
MIN_STANDARD_BYTES = 24  # Standard Webhooks, "Signature scheme": between 24 and 64 bytes
API_KEYS = re.compile(r"(?:[srp]k_(?:live|test)_|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|shpat_|AKIA|AIza|EAA[A-Z])")
SIGNED_WITH_API_KEY = ("UploadThing",)  # titles of schemes


def find_doubts(source: Source) -> Iterator[str]:
    """One sentence for each, with the secret's name and what to do."""
    for where, text in source.list_texts() if source.scheme.key not in PUBLIC else ():
        for doubt in find_secret_doubts(source, text):
            yield f"source {source.name}: {where} {doubt}"
    for doubt in find_missing_parts(source):
        yield f"source {source.name}: {doubt}"


def find_secret_doubts(source: Source, text: str) -> Iterator[str]:
    scheme = source.scheme
    if text != text.strip():
        yield "begins or ends with a blank or a newline, which becomes part of the key: remove it"
    if text[:1] in "\"'" and text[-1:] == text[:1]:
        yield "is in quotes, which become part of the key: remove them"
    if API_KEYS.match(text) and scheme.title not in SIGNED_WITH_API_KEY:
        yield "looks like an API key: use the signing secret of the webhook"
    if len(text.strip()) < MIN_CHARACTERS and scheme.primitive != "none":
        yield f"has only {len(text.strip())} characters: compare it with the provider's"
    if scheme.key_id and ":" not in text:
        yield "has no key id: write id:secret"
    if scheme.key == "whsec":
        key = decode_key(scheme, text)
        if len(key) < MIN_STANDARD_BYTES:
            yield f"decodes to {len(key)} bytes, fewer than {MIN_STANDARD_BYTES} (Standard Webhooks): is it truncated?"


def find_missing_parts(source: Source) -> Iterator[str]:
    scheme = source.scheme
    if scheme.needs and not scheme.parameter:
        yield f"parameter is not set (the {scheme.needs}): challenges of the provider will fail"
    if any(handshake.mac == "ebay" for handshake in scheme.handshakes) and not source.public_url:
        yield "public_url is not set: challenges of the provider will fail, because the answer contains the URL"
