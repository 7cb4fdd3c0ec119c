"""docs/verdicts.md: with whose libraries our verdicts were compared. `python -m tests.receiver.signatures.test_verdicts` prints it."""

from collections import defaultdict
from pathlib import Path

from receiver.schemes import table
from tests.support.vectors import DATA

PAGE = Path(__file__).parents[3] / "docs/verdicts.md"
HEAD = """# Verdicts of the providers' libraries

Each delivery of this table was judged by the provider's own library, and is judged by our engine in the same way: valid ones
are accepted; altered, stale, future and incomplete ones are refused. `tests/data/vectors.json` holds the deliveries, and
`tests/receiver/signatures/test_vectors.py` compares the verdicts.

"""


def verdicts() -> str:
    """The page: a row for each scheme whose vectors an official library has judged."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for vector in DATA["vectors"]:
        if vector["checked_by"].startswith(("official", "standardwebhooks library")):
            name = vector["scheme"] if vector["scheme"] in table() else vector["provider"]
            counts[name][not vector["valid"]] += 1
    rows = [f"| {name} | {table()[name].source} | {good} | {bad} |" for name, (good, bad) in sorted(counts.items())]
    return "\n".join(["| scheme | library | accepted | refused |", "|---|---|---|---|", *rows]) + "\n"


def test_the_page_of_verdicts_is_what_the_vectors_say() -> None:
    assert PAGE.read_text() == HEAD + verdicts()


if __name__ == "__main__":
    print(HEAD + verdicts(), end="")
