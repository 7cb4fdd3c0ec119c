"""Reads the sources from a TOML file, naming every fault; literal secrets are one."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .contract import secrets
from .contract.errors import ConfigurationError
from .contract.secrets import Secret
from .contract.settings import seconds
from .schemes import Scheme, scheme, table
from .signatures import compiled, decode_key
from .sources import Source

FIELD = re.compile("[A-Za-z0-9_$-]+(:[A-Za-z0-9_-]+)?")
PATH = re.compile(r"(?:[A-Za-z0-9_$.-]|\{resource\})+")
OWN = "own"  # the confidence of rows that a user adds
NAME = re.compile("[A-Za-z0-9_-]{1,64}")


def load(env: Mapping[str, str], faults: list[str]) -> dict[str, Source]:
    """The sources by name. Without a configuration file ZYRA_WEBHOOK_SECRET alone defines the source zyra."""
    path, schemes = env.get("RECEIVER_CONFIG"), dict(table())
    if path is None:
        rows: dict[str, Any] = {"zyra": {"scheme": "zyra", "secrets": ["env:ZYRA_WEBHOOK_SECRET"]}}
    else:
        try:
            document = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            faults.append(f"RECEIVER_CONFIG: cannot read {path}: {error}")
            return {}
        faults += [f"{path}: unknown key {key!r}" for key in document if key not in ("sources", "schemes")]
        schemes |= own_schemes(path, document.get("schemes", {}), faults)
        found = document.get("sources")
        if not isinstance(found, dict) or found == {}:
            faults.append(f"{path}: no source: add [sources.zyra] with scheme and secrets")
            return {}
        rows = found
    made = [source(name, row, schemes, env, faults) for name, row in rows.items()]
    return {item.name: item for item in made if item is not None}


def own_schemes(path: str, rows: object, faults: list[str]) -> dict[str, Scheme]:
    """The rows that a user adds to the table, with the same columns."""
    if not isinstance(rows, dict):
        faults.append(f"{path}: schemes must be tables such as [schemes.mine]")
        return {}
    found = {}
    for name, row in rows.items():
        try:
            made = scheme({"title": name, "primitive": "hmac-body", "source": path, "confidence": OWN, **row})
            compiled(made)
            found[name] = made
        except (msgspec.ValidationError, ValueError, KeyError, TypeError, LookupError) as error:
            faults.append(f"{path}: scheme {name!r}: {error}")
    return found


def source(
    name: str, row: object, schemes: Mapping[str, Scheme], env: Mapping[str, str], faults: list[str]
) -> Source | None:
    """One source from its row, or None with its faults named."""
    where = f"source {name!r}"
    mine: list[str] = []
    if not isinstance(row, dict) or not NAME.fullmatch(name):
        faults.append(f"{where}: must be a table with a name of letters, digits, - and _")
        return None
    mine += [f"{where}: unknown key {key!r}" for key in row if key not in {"scheme", "secrets", *PARSERS}]
    how = chosen(where, str(row.get("scheme")), row.get("unconfirmed"), schemes, mine)
    if how is None:
        faults += mine
        return None
    options: dict[str, Any] = {"id_fields": how.id_fields}
    for key, parse in PARSERS.items():
        if key in row:
            try:
                options[key] = parse(row[key])
            except (ValueError, TypeError) as error:
                mine.append(f"{where}: {key} {error}")
    changes = {key: options.pop(key) for key in ("tolerance", "parameter") if key in options}
    if "parameter" not in changes and any("{parameter}" in text for text in (how.signed, *how.claims.values())):
        mine.append(f"{where}: parameter must be set: the {how.needs}")
    if how.wants_url and "public_url" not in options:
        mine.append(f"{where}: public_url must be set, since the provider signs the URL that it calls")
    options.setdefault("success_status", how.success_status or 202)
    options.pop("unconfirmed", None)
    how = replace(how, **changes)
    found = resolve(where, row.get("secrets"), how, env, mine)
    faults += mine
    return Source(name=name, scheme=how, secrets=found, **options) if not mine else None


def chosen(
    where: str, name: str, unconfirmed: object, schemes: Mapping[str, Scheme], faults: list[str]
) -> Scheme | None:
    """The row; one that nobody has confirmed must be asked for."""
    found = schemes.get(name)
    if found is None:
        near = difflib.get_close_matches(name, schemes, 5, 0.5)
        hint = f": do you mean {', '.join(near)}?" if near else ""
        faults.append(f"{where}: there is no scheme {name!r}{hint} `zyra-receiver schemes list` shows all")
    elif not found.confirmed and found.confidence != OWN and unconfirmed is not True:
        faults.append(
            f"{where}: the scheme {name} is not confirmed ({found.confidence}: {found.source}): check it against the "
            "provider's page, then set unconfirmed = true"
        )
        return None
    return found


def resolve(where: str, items: object, scheme: Scheme, env: Mapping[str, str], faults: list[str]) -> tuple[Secret, ...]:
    """The secrets that the references name; each must be a key that the scheme can use."""
    if not isinstance(items, list) or not items:
        faults.append(f'{where}: secrets must be a list such as ["env:ZYRA_WEBHOOK_SECRET"]')
        return ()
    found = []
    for item in items:
        try:
            secret = reference(where, item, env)
            for value in secret.values:
                decode_key(scheme, value)
            found.append(secret)
        except ConfigurationError as error:
            faults += [f"{where}: {fault}" for fault in error.faults]
        except ValueError as error:
            faults.append(f"{where}: the secret {item} {error}")
    return tuple(found)


def reference(where: str, item: object, env: Mapping[str, str]) -> Secret:
    kind, _, rest = str(item).partition(":")
    if kind == "file" and rest:
        return Secret(rest, None, Path(rest))
    if kind != "env" or not rest:
        raise ConfigurationError(["a secret must be env:NAME or file:/path, never the secret itself"])
    secret = secrets.read(env, rest)
    if secret is None:
        raise ConfigurationError([f"{rest} is not set: give it, or {rest}_FILE, the provider's signing secret"])
    return secret


def names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("must be a list of names")
    return tuple(value)


def fields(value: object) -> tuple[str, ...]:
    found = names(value)
    if not all(FIELD.fullmatch(name) for name in found):
        raise ValueError("must name fields of letters, digits, _, - and $, such as event_id or id:evt")
    return found


def paths(value: object) -> tuple[str, ...]:
    found = names(value)
    if not all(PATH.fullmatch(path) for path in found):
        raise ValueError("must be paths such as data.id or data.{resource}_id")
    return found


def headers(value: object) -> tuple[str, ...]:
    found = tuple(name.lower() for name in names(value))
    secret = [name for name in found if name in ("authorization", "cookie") or "signature" in name or "token" in name]
    if secret:
        raise ValueError(f"must not name {', '.join(secret)}: credentials are not kept")
    return found


def url(value: object) -> str:
    text = str(value)
    parts = urlsplit(text)
    if (
        parts.scheme not in ("https", "http")
        or not parts.netloc
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("must be the URL that the provider calls, such as https://hooks.example.com/webhooks/x")
    return text


def word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def repeats(value: object) -> str:
    if value not in ("accept", "duplicate"):
        raise ValueError('must be "accept" or "duplicate"')
    return str(value)


def status(value: object) -> int:
    if type(value) is not int or value not in (200, 201, 202, 204):
        raise ValueError("must be 200, 201, 202 or 204")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def tolerance(value: object) -> int:
    if type(value) is not int or not 0 < value <= 86400:
        raise ValueError("must be seconds, from 1 to 86400")
    return value


def duration(value: object) -> float:
    return seconds(str(value))


PARSERS = {
    "keep_headers": headers,
    "success_status": status,
    "dedup_window": duration,
    "digest_window": duration,
    "id_fields": fields,
    "resource_id": paths,
    "check_type": flag,
    "tolerance": tolerance,
    "unconfirmed": flag,
    "repeats": repeats,
    "capture": flag,
    "public_url": url,
    "parameter": word,
}
