"""Answers to what providers ask before they deliver: challenges and registration pings, as the rows of the table say.

Pure, as verification is. A keyed answer is given only to a challenge of the row's own alphabet and length, so that
nobody can have us sign a delivery.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .delivery import Delivery, compile_place
from .errors import BadSignature
from .schemes import Handshake, Scheme
from .signatures.builders import require
from .signatures.verify import ENCODINGS, Key, Proof, prove

PLAIN = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")  # what a challenge may look like where the row says nothing
HEADER = re.compile(r"[\x20-\x7e]{1,1024}")
SECRET = re.compile(r"[!-+\--~]{8,256}")  # of a secret that is told: no blanks, and no comma, which separates ours
NAMES = re.compile(r"\{(?:challenge|parameter|mac)\}")
NOSNIFF = ("x-content-type-options", "nosniff")


@dataclass(frozen=True, slots=True)
class Answer:
    """learned: a secret that the provider told. visit: an address that must be fetched before this is sent."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    learned: str = ""
    visit: str = ""


def answer(scheme: Scheme, delivery: Delivery, keys: Sequence[Key], now: float) -> Answer | None:
    """The answer, where the request is a handshake of the scheme's, or None. Raises BadSignature."""
    handshake = find_handshake(scheme, delivery)
    return make_answer(scheme, handshake, delivery, keys, now) if handshake else None


def find_handshake(scheme: Scheme, delivery: Delivery) -> Handshake | None:
    """The handshake that the request is, if it is one."""
    return next((one for one in scheme.handshakes if is_handshake(one, delivery)), None)


def list_methods(scheme: Scheme) -> frozenset[str]:
    """The methods of its handshakes, other than that of deliveries."""
    return frozenset(handshake.method for handshake in scheme.handshakes) - {"POST"}


def is_handshake(handshake: Handshake, delivery: Delivery) -> bool:
    if handshake.method != delivery.method:
        return False
    try:
        if handshake.without and compile_place(handshake.without)(delivery):
            return False
        for name, wanted in handshake.when.items():
            text = compile_place(name)(delivery).decode("utf-8", "replace")
            if not text or (wanted and text not in wanted.split("|")):
                return False
    except BadSignature:  # not readable as this; as a delivery it will be refused, if it is none
        return False
    return True


def make_answer(
    scheme: Scheme,
    handshake: Handshake,
    delivery: Delivery,
    keys: Sequence[Key],
    now: float,
    proof: Proof | None = None,
) -> Answer:
    """proof: where a handshake that must be signed is verified already. Raises BadSignature."""
    position = 0
    if handshake.signed:
        position = (proof or prove(scheme, delivery, keys, now)).position
    if handshake.token and not any(
        is_key(key, compile_place(handshake.token)(delivery)) for key in [*keys, scheme.parameter.encode()]
    ):
        if handshake.failure:
            return Answer(handshake.failure)
        raise BadSignature("wrong")
    challenge = compile_place(handshake.challenge)(delivery).decode("utf-8", "replace") if handshake.challenge else ""
    allowed = re.compile(handshake.pattern) if handshake.pattern else PLAIN
    if handshake.challenge and not allowed.fullmatch(challenge):
        if handshake.failure:
            return Answer(handshake.failure)
        raise BadSignature("malformed")
    if handshake.headers and not HEADER.fullmatch(challenge):
        raise BadSignature("malformed")
    if not scheme.parameter and any("{parameter}" in text for text in list_texts(handshake)):
        raise BadSignature("unset")
    known = {"{challenge}": challenge, "{parameter}": scheme.parameter}
    if handshake.mac:
        known["{mac}"] = sign_challenge(
            handshake.mac, keys[position : position + 1], challenge, delivery, scheme.parameter
        )
    headers = [(name, fill(text, known)) for name, text in handshake.headers.items()]
    learned = compile_place(handshake.learn)(delivery).decode("utf-8", "replace") if handshake.learn else ""
    if handshake.learn and not SECRET.fullmatch(learned):
        raise BadSignature("malformed")
    visit = compile_place(handshake.visit)(delivery).decode("utf-8", "replace") if handshake.visit else ""
    if handshake.visit and not re.fullmatch(handshake.visit_pattern, visit):
        raise BadSignature("malformed")
    if handshake.json:
        body = json.dumps({name: fill(text, known) for name, text in handshake.json.items()}, ensure_ascii=False)
        return Answer(handshake.status, body.encode(), (*headers, ("content-type", "application/json")), learned, visit)
    plain = (("content-type", "text/plain; charset=utf-8"), NOSNIFF) if handshake.text else ()
    return Answer(handshake.status, fill(handshake.text, known).encode(), (*headers, *plain), learned, visit)


def list_texts(handshake: Handshake) -> list[str]:
    return [handshake.text, *map(str, handshake.json.values()), *handshake.headers.values()]


def is_key(key: Key, candidate: bytes) -> bool:
    return isinstance(key, bytes) and key != b"" and hmac.compare_digest(key, candidate)


def fill(text: Any, known: Mapping[str, str]) -> Any:
    """The text with what is known in place of its names; a value is never searched for names itself."""
    if not isinstance(text, str):
        return text
    return NAMES.sub(lambda match: known.get(match[0], ""), text)


def sign_challenge(how: str, keys: Sequence[Key], challenge: str, delivery: Delivery, token: str) -> str:
    if how == "ebay":  # https://developer.ebay.com/marketplace-account-deletion: a digest of code, token and our URL
        text = challenge + require(token) + require(delivery.url.partition("?")[0])
        return hashlib.sha256(text.encode()).hexdigest()
    if not keys or not isinstance(keys[0], bytes):
        raise BadSignature("wrong")
    name, _, encoding = how.partition(" ")
    return ENCODINGS[encoding](hmac.digest(keys[0], challenge.encode(), name.removeprefix("hmac-"))).decode()
