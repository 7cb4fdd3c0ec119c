"""An https server of other people, on 127.0.0.1, with a certificate of its own authority."""

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from receiver.remote.fetcher import Fetcher

from .other_server import Quiet, served


@dataclass
class Https:
    """What it answers by path, and which requests came: path and headers."""

    port: int
    authority: Path
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    slow: float = 0.0

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def fetcher(self, address: str = "127.0.0.1", allowed: Callable[[str], bool] = lambda _: True) -> Fetcher:
        """One for which every host lives here."""

        async def resolve(host: str, port: int) -> list[tuple[str, int]]:
            return [(address, self.port)]

        return Fetcher(resolve, allowed, lambda: ssl.create_default_context(cafile=str(self.authority)))


@contextlib.contextmanager
def serving(folder: Path, *hosts: str) -> Iterator[Https]:
    chain, authority = certificates(folder, hosts)
    found = Https(0, authority)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            time.sleep(found.slow)
            status, body = found.answers.get(self.path, (404, b""))
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    found.port = server.server_address[1]
    with served(server):
        yield found


def certificates(folder: Path, hosts: tuple[str, ...]) -> tuple[Path, Path]:
    """A file with key and certificate for the hosts, and one with the authority's certificate."""
    signer, authority = made("authority", ())
    key, certificate = made(hosts[0], hosts, signer, authority)
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "chain.pem").write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return folder / "chain.pem", folder / "authority.pem"


def made(
    name: str,
    hosts: tuple[str, ...],
    signer: ec.EllipticCurvePrivateKey | None = None,
    issuer: x509.Certificate | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
    return key, builder.sign(signer or key, hashes.SHA256())
