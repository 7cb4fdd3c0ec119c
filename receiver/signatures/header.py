"""Reads signatures and timestamps from the places where a scheme has them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..delivery import Delivery, Place, compile_place
from ..errors import BadSignature
from ..schemes import Scheme

MAX_CANDIDATES = 20  # signatures looked at in one header: a long list must not become work
SKEW_SECONDS = 60.0  # that a signed time may lie in the future: nobody's clock is exact
NOTHING: Mapping[bytes, bytes] = {}
Group = tuple[list[bytes], Mapping[bytes, bytes]]  # signatures, and the items beside them


class SignatureReader:
    """length: of a signature's text, where that is known; others are not looked at."""

    def __init__(self, scheme: Scheme, length: int = 0) -> None:
        self._length = length
        self._places = [compile_place(name) for name in scheme.signature]
        self._repeated = [name.removeprefix("header:").encode() for name in scheme.signature] if scheme.repeated else []
        self._prefix = scheme.prefix.encode()
        self._groups = scheme.groups.encode()
        self._separator = scheme.separator.encode()
        self._pair = scheme.pair.encode()
        self._version = scheme.version.encode()
        self._positional = scheme.timestamp == "item:0"
        self._bare_too = scheme.bare
        self._folds = scheme.encoding == "hex-any"
        self._header = find_single_header(scheme)
        self._one = self._header != b"" and not self._separator and length > 0

    def read(self, delivery: Delivery) -> list[Group]:
        """Raises BadSignature: missing, repeated, malformed."""
        if not self._one:
            return self._read_any(delivery)
        value = delivery.header(self._header)
        if not value:
            raise BadSignature("missing")
        if not value.startswith(self._prefix) or len(value) != self._length + len(self._prefix):
            raise BadSignature("malformed")
        value = value[len(self._prefix) :]
        return [([value.lower() if self._folds else value], NOTHING)]

    def _read_any(self, delivery: Delivery) -> list[Group]:
        if self._repeated:
            texts = [value for name in self._repeated for value in delivery.all(name) if value]
        else:
            texts = [value for read in self._places if (value := read(delivery))]
        if not texts and self._places:
            raise BadSignature("missing")
        if not self._separator:
            return [(self._keep_sound([self._strip_prefix(value) for value in texts[:MAX_CANDIDATES]]), NOTHING)]
        values = [part for value in texts for part in (value.split(self._groups) if self._groups else [value])]
        if not self._pair and not self._positional:  # nothing tells them apart
            parts = [part.strip(b" ") for value in values for part in value.split(self._separator, MAX_CANDIDATES)]
            return [(self._keep_sound([self._strip_prefix(part) for part in parts[:MAX_CANDIDATES]]), NOTHING)]
        return [self._read_list(value) for value in values[:MAX_CANDIDATES]]

    def _strip_prefix(self, value: bytes) -> bytes:
        return value[len(self._prefix) :] if value.startswith(self._prefix) else b""

    def _read_list(self, value: bytes) -> Group:
        parts = [part.strip(b" ") for part in value.split(self._separator, MAX_CANDIDATES)[:MAX_CANDIDATES]]
        if not self._pair:
            return self._keep_sound([self._strip_prefix(part) for part in parts[1:]]), {b"0": parts[0]}
        pairs = [part.partition(self._pair) for part in parts]
        wanted = [text for name, _, text in pairs if self._version in (name, b"*")]
        wanted += [name for name, apart, _ in pairs if self._bare_too and not apart]
        named = {name: text for name, _, text in pairs if name != self._version}
        return self._keep_sound([self._strip_prefix(text) for text in wanted]), named

    def _keep_sound(self, candidates: list[bytes]) -> list[bytes]:
        if self._folds:
            candidates = [candidate.lower() for candidate in candidates]
        sound = [one for one in candidates if (len(one) == self._length if self._length else one)]
        if not sound and self._places:
            raise BadSignature("malformed")
        return sound


def find_single_header(scheme: Scheme) -> bytes:
    """The name of the header, if one header holds the signature, else b""."""
    kind, _, name = scheme.signature[0].partition(":") if len(scheme.signature) == 1 else ("", "", "")
    return name.encode() if kind == "header" and "|" not in name and not scheme.repeated else b""


class TimestampReader:
    """The timestamp, and the window in which it may lie."""

    def __init__(self, scheme: Scheme) -> None:
        kind, _, name = scheme.timestamp.partition(":")
        self._item = name.encode() if kind == "item" else b""
        self._place: Place = compile_place(scheme.timestamp) if kind != "item" else lambda _: b""
        self._unit = scheme.unit
        self._tolerance = scheme.tolerance
        within = max(SKEW_SECONDS, scheme.tolerance)
        self._future = {"within": within, "never": 0, "any": float("inf")}[scheme.future]

    def read(self, delivery: Delivery, items: Mapping[bytes, bytes], now: float) -> bytes:
        """The timestamp's text as it was signed. Raises BadSignature: missing, malformed, stale."""
        text = items.get(self._item, b"") if self._item else self._place(delivery)
        if not text:
            raise BadSignature("missing")
        moment = parse_timestamp(text, self._unit)
        if self._tolerance and not -self._future <= now - moment <= self._tolerance:
            raise BadSignature("stale")
        return text


def parse_timestamp(text: bytes, unit: str) -> float:
    """Seconds since 1970, of a timestamp's text. Raises BadSignature."""
    if unit in ("s", "ms", "s-or-ms"):
        if not text.isdigit() or len(text) > (12 if unit == "s" else 15):
            raise BadSignature("malformed")
        return int(text) / 1000 if unit == "ms" or (unit == "s-or-ms" and len(text) > 11) else float(text)
    try:
        if unit == "http":
            return parsedate_to_datetime(text.decode()).timestamp()
        moment = datetime.fromisoformat(text.decode() if len(text) < 40 else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        raise BadSignature("malformed") from None
