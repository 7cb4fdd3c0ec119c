"""Sources. Only `Source.accept` turns a delivery into an event, and it needs a proof that the signature is valid."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from .contract import keys
from .contract.errors import ConfigurationError
from .contract.records import Content, EventRecord, Labels
from .contract.secrets import Secret
from .delivery import Delivery
from .errors import BadSignature, Unavailable
from .handshakes import Answer, find_handshake, list_methods, make_answer
from .labels import UNTYPED, LabelReader, parse_place
from .schemes import Handshake, Scheme
from .signatures.verify import Key, Proof

log = logging.getLogger(__name__)
KEPT_HEADERS = ("content-type", "user-agent", "x-request-id", "traceparent")
SENDER = "zyra-receiver-send"  # the user agent of our own `send` command


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event, and the marks under which its repetitions are known."""

    event: EventRecord
    mark: str
    window: float  # seconds the mark lives; 0: no mark
    digest: str = ""  # of the content, where the mark is of the identity alone
    signed_mark: str = ""  # where id or type are not signed: what is signed is known by this
    replays: bool = False  # whether a redelivery of an event that ended dead, unhandled or unreadable replays it
    once: bool = False  # whether what is signed is one event, whatever id and type come with it
    untyped: bool = False  # whether neither the provider nor the operator named a type


@dataclass(frozen=True, kw_only=True)
class Source:
    name: str
    scheme: Scheme
    secrets: tuple[Secret, ...]
    keep_headers: tuple[str, ...] = ()
    success_status: int = 200
    public_url: str = ""  # as the provider calls it, without a query
    dedup_window: float = 7 * 86400.0
    digest_window: float = 300.0
    id_fields: tuple[str, ...] | None = (
        None  # the operator's own, of the body; the first that is there; None: the scheme's
    )
    resource_id: tuple[str, ...] = ()
    index: tuple[str, ...] = ()  # paths by whose values events are found
    keep_done: float | None = None  # seconds; None: KEEP_DONE
    keep_body: float | None = None  # seconds; None: as long as its event
    expect_every: float = 0.0  # seconds of silence that are a fault; 0: none is
    type: str = ""  # of events that name none; "": the word `event`
    check_type: bool = True  # whether the body's own word counts more than an unsigned header
    redelivery: str = "replay"  # of an event that ended dead, unhandled or unreadable: replay, or ignore
    repeats: str = "accept"  # of signed bytes under a new id: accept, and mark; or duplicate
    credential: Secret | None = None  # what the provider wants to see when its keys are fetched
    max_body: int = 0  # bytes; 0: MAX_BODY_BYTES
    capture: bool = False  # whether refused bodies are kept for a while, for `events explain`

    def list_texts(self) -> list[tuple[str, str]]:
        """Name and text of each secret, in the order of the keys."""
        return [(f"{secret.name} {n}", text) for secret in self.secrets for n, text in enumerate(secret.values, 1)]

    def find_handshake(self, delivery: Delivery) -> Handshake | None:
        """The challenge or ping that the delivery is, if it is one."""
        return find_handshake(self.scheme, delivery)

    def answer(
        self, handshake: Handshake, delivery: Delivery, keys: Sequence[Key], now: float, proof: Proof | None = None
    ) -> Answer:
        """The answer to a handshake. proof: where one that must be signed is verified already.

        Raises BadSignature, and Unavailable where a secret that the provider told cannot be kept.
        """
        reply = make_answer(self.scheme, handshake, delivery, keys, now, proof)
        try:
            if reply.learned and not any(secret.learn(reply.learned) for secret in self.secrets):
                raise BadSignature("not-waiting")
        except ConfigurationError as error:
            log.error("source %s: the provider told its secret, and %s", self.name, error)
            raise Unavailable("secret-file") from None
        return reply

    def accept(self, proof: Proof, now: float, trace: str = "") -> Accepted:
        """The event of a verified delivery. trace: the traceparent of our span, if we trace."""
        delivery = proof.delivery
        labels, kept, moment = self.labels, self.kept_headers, int(now * 1000)
        body_format = labels.format(delivery)
        fields = labels.peek(delivery, body_format)
        kind, stem = labels.type(delivery, fields)
        identity = labels.identity(delivery, fields)
        event = EventRecord(
            labels=Labels(
                id=keys.make_event_id(moment),
                source=self.name,
                type=kind,
                received_at=moment,
                delivery_id=identity,
                origin="send" if delivery.text(b"user-agent").startswith(SENDER) else "delivery",
            ),
            content=Content(
                body=delivery.body,
                headers=tuple([(kept[n], v.decode("latin-1")) for n, v in delivery.headers if n in kept]),
                format=body_format,
                stem=stem,
                json_field=self.scheme.json_field,
                unordered=self.scheme.signs_fields,
                resource=self.resource_id or self.scheme.resource_id,
                index=self.index,
                trace=trace,
            ),
        )
        marks = labels.marks(delivery, identity, kind)
        window = self.dedup_window if identity else self.digest_window
        replays, once = self.redelivery == "replay", self.repeats == "duplicate"
        untyped = kind == UNTYPED and not self.type
        return Accepted(event, marks.event, window, marks.digest, marks.signed, replays, once, untyped)

    @cached_property
    def fetches(self) -> bool:
        """Whether the provider's keys are fetched, since none are given."""
        return self.scheme.remote is not None and not self.secrets

    @cached_property
    def success_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name.encode(), text.encode()) for name, text in self.scheme.success_headers.items())

    @cached_property
    def methods(self) -> frozenset[str]:
        """Methods of requests that are no deliveries."""
        return list_methods(self.scheme)

    @property
    def identity(self) -> tuple[str, ...]:
        """Places that together name an event: the operator's own, else the scheme's."""
        if self.id_fields is None:
            return self.scheme.identity
        return ("json:" + "|".join(self.id_fields),) if self.id_fields else ()

    @cached_property
    def labels(self) -> LabelReader:
        return LabelReader(self.name, self.scheme, self.identity, self.type, self.check_type)

    @cached_property
    def kept_headers(self) -> Mapping[bytes, str]:
        """The headers that go with the event, by their bytes."""
        places = [*self.scheme.identity, *self.scheme.type, self.scheme.timestamp]
        spots = [spot for item in places if item.startswith("header:") for spot in parse_place(item)]
        named = [spot.name for spot in spots if spot.kind == "header"]
        return {name.encode(): name for name in (*KEPT_HEADERS, *named, *self.keep_headers)}
