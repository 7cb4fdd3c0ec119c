"""Reads the sources from a TOML file and names every fault. A literal secret is a fault."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from .contract import secrets
from .contract.errors import ConfigurationError
from .contract.secrets import Secret
from .labels import LabelReader
from .schemes import Remote, Scheme, load_schemes, parse_scheme
from .signatures.verify import PUBLIC, compile_scheme, decode_key
from .source_options import PARSERS
from .sources import Source

CHANGES = ("tolerance", "parameter", "account")  # of the scheme
OWN = "own"  # the confidence of rows that a user adds
VISIBLE = re.compile("[!-~]+")
NAME = re.compile("[A-Za-z0-9_-]{1,64}")


def load_sources(env: Mapping[str, str], faults: list[str]) -> dict[str, Source]:
    """The sources by name. Without a configuration file ZYRA_WEBHOOK_SECRET alone defines the source zyra."""
    path, schemes = env.get("RECEIVER_CONFIG"), dict(load_schemes())
    if path is None:
        rows: dict[str, Any] = {"zyra": {"scheme": "zyra", "secrets": ["env:ZYRA_WEBHOOK_SECRET"]}}
    else:
        try:
            document = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            faults.append(f"RECEIVER_CONFIG: cannot read {path}: {error}")
            return {}
        faults += [f"{path}: unknown key {key!r}" for key in document if key not in ("sources", "schemes")]
        schemes |= read_own_schemes(path, document.get("schemes", {}), faults)
        tables = document.get("sources")
        if not isinstance(tables, dict) or tables == {}:
            faults.append(f"{path}: no source: add [sources.zyra] with scheme and secrets")
            return {}
        rows = tables
    sources = [read_source(name, row, schemes, env, faults) for name, row in rows.items()]
    return {item.name: item for item in sources if item is not None}


def read_own_schemes(path: str, rows: object, faults: list[str]) -> dict[str, Scheme]:
    """The rows that a user adds to the table, with the same columns."""
    if not isinstance(rows, dict):
        faults.append(f"{path}: schemes must be tables such as [schemes.mine]")
        return {}
    schemes = {}
    for name, row in rows.items():
        try:
            scheme = parse_scheme({"title": name, "primitive": "hmac-body", "source": path, "confidence": OWN, **row})
            compile_scheme(scheme)
            LabelReader(name, scheme, scheme.identity, "", False)
            schemes[name] = scheme
        except (msgspec.ValidationError, ValueError, TypeError, LookupError, re.error) as error:
            faults.append(f"{path}: scheme {name!r}: {error}")
    return schemes


def read_source(
    name: str, row: object, schemes: Mapping[str, Scheme], env: Mapping[str, str], faults: list[str]
) -> Source | None:
    """One source from its row, or None with its faults named."""
    where = f"source {name!r}"
    mine: list[str] = []
    if not isinstance(row, dict) or not NAME.fullmatch(name):
        faults.append(f"{where}: must be a table with a name of letters, digits, - and _")
        return None
    mine += [f"{where}: unknown key {key!r}" for key in row if key not in {"scheme", "secrets", "credential", *PARSERS}]
    how = choose_scheme(where, str(row.get("scheme")), row.get("unconfirmed"), schemes, mine)
    if how is None:
        faults += mine
        return None
    options: dict[str, Any] = {}
    for key, parse in PARSERS.items():
        if key in row:
            try:
                options[key] = parse(row[key])
            except (ValueError, TypeError) as error:
                mine.append(f"{where}: {key} {error}")
    changes: dict[str, Any] = {key: options.pop(key) for key in CHANGES if key in options}
    if "keys_url" in options:
        changes["remote"] = Remote(url=options.pop("keys_url"), own=True)
        if how.key not in PUBLIC:
            mine.append(f"{where}: keys_url is for schemes with public keys: {how.title} has a secret")
    how = replace(how, **changes)
    mine += [f"{where}: {fault}" for fault in find_missing(how, options)]
    options.setdefault("success_status", how.success_status)
    options.setdefault("max_body", how.max_body)
    options.pop("unconfirmed", None)
    keys: tuple[Secret, ...] = ()
    if "secrets" in row or how.remote is None:
        keys = read_secrets(where, row.get("secrets"), how, env, mine)
    elif how.remote.credential:
        options["credential"] = read_credential(where, row.get("credential"), how.remote, env, mine)
    faults += mine
    return Source(name=name, scheme=how, secrets=keys, **options) if not mine else None


def find_missing(scheme: Scheme, options: Mapping[str, Any]) -> Iterator[str]:
    """Options that the scheme needs and the operator did not set."""
    texts = (scheme.signed, *scheme.claims.values())
    # a topic: else anybody could subscribe us to theirs
    names_topic = any(place.endswith("hub.topic") for place in (one.token for one in scheme.handshakes))
    if not scheme.parameter and (scheme.ours or names_topic or any("{parameter}" in text for text in texts)):
        yield f"parameter must be set: the {scheme.needs}"
    if not scheme.account and "{account}" in scheme.claims.values():
        yield "account must be set: the e-mail of the account that calls us"
    if scheme.wants_url and "public_url" not in options:
        yield "public_url must be set, since the provider signs the URL that it calls"


def choose_scheme(
    where: str, name: str, unconfirmed: object, schemes: Mapping[str, Scheme], faults: list[str]
) -> Scheme | None:
    """The row. An unconfirmed one needs `unconfirmed = true`."""
    scheme = schemes.get(name)
    if scheme is None:
        near = difflib.get_close_matches(name, schemes, 5, 0.5)
        hint = f": do you mean {', '.join(near)}?" if near else ""
        faults.append(f"{where}: there is no scheme {name!r}{hint} `zyra-receiver schemes list` shows all")
    elif not scheme.verifies and scheme.confidence != OWN and unconfirmed is not True:
        faults.append(
            f"{where}: the scheme {name} is not confirmed ({scheme.confidence}: {scheme.source}): check it against the "
            "provider's page, then set unconfirmed = true"
        )
        return None
    return scheme


def read_secrets(
    where: str, items: object, scheme: Scheme, env: Mapping[str, str], faults: list[str]
) -> tuple[Secret, ...]:
    """The secrets that the references name, each checked as a key of the scheme."""
    if not isinstance(items, list) or not items:
        faults.append(f'{where}: secrets must be a list such as ["env:ZYRA_WEBHOOK_SECRET"]')
        return ()
    resolved = []
    for item in items:
        try:
            secret = parse_reference(where, item, env, scheme.title == "Zyra")
            for value in secret.values:
                decode_key(scheme, value)
            resolved.append(secret)
        except ConfigurationError as error:
            faults += [f"{where}: {fault}" for fault in error.faults]
        except ValueError as error:
            faults.append(f"{where}: the secret {item} {error}")
    return tuple(resolved)


def read_credential(
    where: str, item: object, remote: Remote, env: Mapping[str, str], faults: list[str]
) -> Secret | None:
    """The credential for fetching the provider's keys."""
    if item is None:
        what = "an API key" if remote.credential == "bearer" else "client_id:client_secret"
        faults.append(
            f"{where}: the provider gives its public keys to those who show {what}: credential must name it, such as "
            '"env:NAME"; or give the keys themselves as secrets'
        )
        return None
    try:
        secret = parse_reference(where, item, env)
        if VISIBLE.fullmatch(secret.values[0]):
            return secret
        faults.append(f"{where}: credential: {item} must be visible ASCII, since it stands in a header")
    except ConfigurationError as error:
        faults += [f"{where}: credential: {fault}" for fault in error.faults]
    return None


def parse_reference(where: str, item: object, env: Mapping[str, str], commas: bool = False) -> Secret:
    """commas: whether they separate the values of a file."""
    kind, _, rest = str(item).partition(":")
    if kind in ("file", "learned") and rest:
        return Secret(rest, None, Path(rest), awaited=kind == "learned", commas=commas)
    if kind != "env" or not rest:
        raise ConfigurationError(["a secret must be env:NAME or file:/path, never the secret itself"])
    secret = secrets.read(env, rest)
    if secret is None:
        raise ConfigurationError([f"{rest} is not set: give it, or {rest}_FILE, the provider's signing secret"])
    return secret
