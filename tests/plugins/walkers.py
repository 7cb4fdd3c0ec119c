"""Handlers that make every call of the route table, and note in the file that WALK names what each came to."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.walk import arguments, method, rows
from workers import AsyncZyra, Event, Router, Zyra
from workers.zyra.errors import ZyraError
from workers.zyra.routes import Kind, Route

router = Router()


def note(row: str, outcome: object) -> None:
    with Path(os.environ["WALK"]).open("a") as file:
        file.write(f"{row}\t{type(outcome).__name__}\t{outcome}\n")


def list_calls(zyra: Any) -> Iterator[tuple[Route, Callable[[], Any]]]:
    """Each row, and what makes its call."""
    into = Path(os.environ["WALK"]).with_name("file")
    for row in rows():
        function = method(zyra, row)
        ids, fields = arguments(row, function, into, "refresh-me")
        yield row, partial(function, *ids, **fields)


@router.on("walk.blocking")
def walk(event: Event, zyra: Zyra) -> None:
    for row, call in list_calls(zyra):
        try:
            found = call()
            note(row.name, list(found) if row.answer is Kind.LIST else found)
        except ZyraError as error:
            note(row.name, error)


@router.on("walk.async")
async def walk_async(event: Event, zyra: AsyncZyra) -> None:
    for row, call in list_calls(zyra):
        try:
            found = call()
            note(row.name, [one async for one in found] if row.answer is Kind.LIST else await found)
        except ZyraError as error:
            note(row.name, error)
