"""Facts about each builder. Its code is in `signatures/builders.py` or `signatures/jws.py`."""

from dataclasses import dataclass
from typing import Literal

Coverage = Literal["body", "part", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The defaults are those of a row without a builder."""

    covers: Coverage = "body"  # what of the body the signature binds
    signs: tuple[str, ...] = ()  # places that it signs besides
    signs_query: bool = False
    signs_fields: bool = False  # whether it signs fields of a form, and not its bytes
    signs_content: bool = False  # whether what it signs is all that the event tells, in one form only
    wants_url: bool = False  # whether it signs the URL that the provider called
    holds_key: bool = False  # whether what is signed holds the key
    names_algorithm: bool = False  # whether the delivery names the algorithm, so that a signature has no fixed length


ADYEN_FIELDS = tuple(
    f"json:notificationItems.0.NotificationRequestItem.{name}" for name in ("pspReference", "eventCode", "success")
)
BUILDERS: dict[str, Traits] = {
    "": Traits(),
    "adyen": Traits(covers="part", signs=ADYEN_FIELDS),
    "alipay": Traits(signs_fields=True),
    "braintree": Traits(covers="part", signs_content=True),
    "canonical": Traits(signs_content=True),
    "chain": Traits(),
    "contentful": Traits(signs_query=True, wants_url=True),
    "ebay": Traits(),
    "grafana": Traits(),
    "hashed-twice": Traits(),
    "hubspot-old": Traits(wants_url=True, holds_key=True),
    "listed-headers": Traits(),
    "mercadopago": Traits(covers="nothing", signs=("header:x-request-id", "query:data.id"), wants_url=True),
    "paddle-classic": Traits(signs_fields=True),
    "payos": Traits(covers="part", signs_content=True),
    "plivo": Traits(
        signs=("header:x-plivo-signature-v3-nonce",), signs_query=True, signs_fields=True, wants_url=True
    ),
    "sns": Traits(covers="part", signs=("json:MessageId", "json:Type", "json:TopicArn"), signs_content=True),
    "truelayer": Traits(wants_url=True),
    "twilio": Traits(signs_query=True, signs_fields=True, wants_url=True, names_algorithm=True),
    "websub": Traits(names_algorithm=True),
}  # fmt: skip
