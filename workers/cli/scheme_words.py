"""What to set at a provider and in its source, and what a failure brings, in words for `schemes show`."""

from receiver.contract.records import Body
from receiver.schemes import Scheme

SECRETS = {
    "text": "as the provider shows it", "nfkd": "as the provider shows it", "sha1": "the private key",
    "hex": "hex, as the provider shows it", "base64": "base64, as the provider shows it",
    "whsec": "base64, with or without whsec_ before it", "whsec-or-text": "as the provider shows it",
    "text-or-base64": "as the provider shows it", "pem": "the provider's public key in PEM",
    "raw-hex": "the provider's public key in hex", "raw-base64": "the provider's public key in base64",
    "whpk": "the provider's public key, with or without whpk_ before it", "jwks": "the provider's JWK set",
    "certificate": "the provider's root certificate in PEM",
    "any": "a public key in PEM, a JWK set, or a secret in base64",
}  # fmt: skip
CONTENT_TYPES = {
    Body.JSON: "application/json",
    Body.FORM: "application/x-www-form-urlencoded or multipart/form-data",
    Body.RAW: "any",
    Body.TOKEN: "as the provider sends its token",
}  # fmt: skip


def describe_setup(row: Scheme) -> dict[str, str]:
    """What to set at the provider and in the source."""
    query = [place[6:] for place in row.signature if place.startswith("query:") and row.covers == "nothing"]
    secret = SECRETS[row.key]
    if row.family == "basic":
        secret = "user:password"  # noqa: S105 - the form of one
    elif row.key_id:
        secret = f"id:secret, the secret {secret}"
    if row.remote:
        secret = f"none, since the public keys are fetched; or {secret}"
    setup = {
        "url": "https://HOST/webhooks/NAME" + (f"?{query[0]}=SECRET" if query else ""),
        "content_type": " or ".join(CONTENT_TYPES[body] for body in row.body),
        "secret": secret,
    }
    if row.wants_url:
        setup["public_url"] = "the URL as the provider calls it, without its query"
    if row.needs:
        setup["parameter"] = row.needs
    return setup


def describe_retry(row: Scheme) -> str:
    """What a failure brings, and how a copy is known."""
    known = " and ".join(row.identity).replace("|", " or ") or "the digest of its body"
    sentences = [row.retries or "the retry schedule is not documented"]
    if row.disables_after:
        sentences.append(f"the provider disables the endpoint after {row.disables_after}")
    if row.deadline:
        sentences.append(f"it waits {row.deadline} for an answer")
    return f"{'; '.join(sentences)}; a duplicate is recognized by {known} and answered {row.success_status}"
