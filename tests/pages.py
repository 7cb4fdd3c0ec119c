"""Writes the tables of docs/ that are made from data: `python -m tests.pages`. tests/test_pages.py compares them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from receiver.schemes import Scheme
from receiver.schemes import load_schemes as schemes
from tests.support.vectors import DATA
from workers.zyra.routes import LookUp, Route
from workers.zyra.routes import load_default_routes as routes

DOCS = Path(__file__).parents[1] / "docs"


def render_providers() -> Iterator[str]:
    """The table of docs/providers.md: a row for each scheme."""
    head = (
        "id",
        "provider",
        "signature",
        "algorithm",
        "what is signed",
        "replay protection",
        "identity",
        "type",
        "body",
    )
    yield "| " + " | ".join((*head, "success", "retries", "status")) + " |"
    yield "|---" * (len(head) + 3) + "|"
    for name, row in sorted(schemes().items()):
        where = ", ".join(escape(place.removeprefix("header:")) for place in row.signature[:2]) or "in the body"
        means = (
            describe_places(row.identity),
            describe_places(row.type),
            " or ".join(row.body),
            str(row.success_status),
        )
        retries = row.retries.replace("|", "/") or "not known"
        cells = (
            name,
            row.title,
            where,
            describe_algorithm(row),
            describe_signed(row),
            describe_window(row),
            *means,
            retries,
            describe_status(row),
        )
        yield "| " + " | ".join(cells) + " |"


def describe_places(items: tuple[str, ...]) -> str:
    return " and ".join(map(escape, items)) or "none"


def describe_status(row: Scheme) -> str:
    """Its status, and how sure the signature is."""
    word = f"**{row.status}**" if row.is_confirmed else row.status
    missing = f", not known: {', '.join(row.missing_answers)}" if row.status == "signature-only" else ""
    return f"{word} ({row.confidence}{missing})"


def escape(text: str) -> str:
    return "`" + text.replace("|", " or ") + "`"


def describe_algorithm(row: Scheme) -> str:
    if row.algorithms:
        return "JWT " + ", ".join(row.algorithms)
    if row.family in ("token", "basic"):
        return {"static-token": "token", "basic-auth": "Basic", "none": "token in the URL"}[row.primitive]
    return "by the key" if row.family == "message" else row.algorithm


def describe_signed(row: Scheme) -> str:
    if row.family in ("token", "basic"):
        return "nothing"
    if row.builder:
        return f"as its builder says ({row.builder})"
    if row.algorithms:
        bound = ", ".join(f"{claim}: {how}" for claim, how in row.hashes.items())
        return bound or ("the body" if row.covers == "body" else "the claims alone")
    if row.family == "message":
        return ", ".join(row.covered).replace("|", " or ") or "the components that it lists"
    return escape(row.signed.replace("\n", "\\n"))


def describe_window(row: Scheme) -> str:
    if row.tolerance and (row.timestamp or row.family == "message"):
        return f"{row.tolerance} s"
    if row.algorithms:
        return "the token's own end"
    return "time signed, no window" if row.timestamp else "none but dedup"


def describe_look_up(route: Route) -> str:
    """How a lost answer is found out, in words; "" if nobody can."""
    gone = "gone, or " * (route.look_up is LookUp.GONE) + ", ".join(route.after)
    words = {LookUp.STATUS: f"status is {gone}", LookUp.GONE: gone.removesuffix(", or ")}
    return words.get(route.look_up, route.look_up)


def render_routes() -> Iterator[str]:
    """The table of docs/api.md: a row for each call of the route table."""
    yield "| call | verb and path | limit | certainty | page | a lost answer is found out by |"
    yield "|---|---|---|---|---|---|"
    for one in routes().values():
        found_out = describe_look_up(one) or ("-" if not one.changes else "nobody: outcome-unknown")
        yield f"| `{one.name}` | `{one.call}` | {one.limit} | {one.certainty} | {one.source} | {found_out} |"


def render_verdicts() -> Iterator[str]:
    """The table of docs/verdicts.md: a row for each scheme whose vectors an official library has judged."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for vector in DATA["vectors"]:
        if vector["checked_by"].startswith(("official", "standardwebhooks library")):
            name = vector["scheme"] if vector["scheme"] in schemes() else vector["provider"]
            counts[name][not vector["valid"]] += 1
    yield "| scheme | library | accepted | refused |"
    yield "|---|---|---|---|"
    for name, (accepted, refused) in sorted(counts.items()):
        yield f"| {name} | {schemes()[name].source} | {accepted} | {refused} |"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "providers.md": render_providers,
    "api.md": render_routes,
    "verdicts.md": render_verdicts,
}


def render(name: str) -> str:
    """The page with its table as the data say; the table is the last thing on it."""
    head, *rows = PAGES[name]()
    text = (DOCS / name).read_text()
    return text[: text.index(head)] + "\n".join([head, *rows]) + "\n"


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(render(name))
