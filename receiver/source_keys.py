"""The keys of one source as its secrets are now, and how often each verified a delivery."""

import logging
from collections.abc import Sequence

from .contract.secrets import Secret
from .delivery import Delivery
from .schemes import Scheme
from .signatures.verify import Key, Proof, decode_key, prove

log = logging.getLogger(__name__)


class SourceKeys:
    """Secrets are decoded once, and again when their files change."""

    def __init__(self, name: str, scheme: Scheme, secrets: Sequence[Secret]) -> None:
        self.previous: dict[str, None] = {}  # secrets that the files held before
        self._name = name
        self._scheme = scheme
        self._secrets = tuple(secrets)
        self._texts: tuple[tuple[str, ...], ...] = ()
        self._keys: tuple[Key, ...] = ()
        self._uses: dict[int, int] = {}  # by position of the key

    def get(self) -> tuple[Key, ...]:
        """The keys, in the order of the secrets."""
        texts = tuple([secret.values for secret in self._secrets])
        if texts != self._texts:
            self._decode(texts)
        return self._keys

    def prove(self, delivery: Delivery, now: float) -> Proof:
        """Raises BadSignature where no key fits."""
        proof = prove(self._scheme, delivery, self.get(), now)
        self._uses[proof.position] = self._uses.get(proof.position, 0) + 1
        return proof

    def list_texts(self) -> list[str]:
        """The secrets, in the order of `get`."""
        return [text for secret in self._secrets for text in secret.values]

    def take_uses(self) -> dict[int, int]:
        """How often the key at each position verified a delivery since the last call."""
        uses, self._uses = self._uses, {}
        return uses

    def _decode(self, texts: tuple[tuple[str, ...], ...]) -> None:
        try:
            self._keys = tuple(decode_key(self._scheme, text) for values in texts for text in values)
        except ValueError as error:
            log.error("source %s: the changed secret %s; the keys before it stay in use", self._name, error)
        self.previous |= dict.fromkeys(text for values in self._texts for text in values)
        self._texts = texts
