"""Handlers that make every call of the route table, and note in the file that WALK names what each came to."""

import os
from pathlib import Path

from tests.support.walk import arguments, method, rows
from workers import AsyncZyra, Event, Router, Zyra
from workers.zyra.errors import ZyraError
from workers.zyra.routes import Kind

router = Router()


def note(row: str, outcome: object) -> None:
    with Path(os.environ["WALK"]).open("a") as file:
        file.write(f"{row}\t{type(outcome).__name__}\t{outcome}\n")


@router.on("walk.blocking")
def walk(event: Event, zyra: Zyra) -> None:
    into = Path(os.environ["WALK"]).with_name("file")
    for row in rows():
        function = method(zyra, row)
        ids, fields = arguments(row, function, into, "refresh-me")
        try:
            found = function(*ids, **fields)
            note(row.name, list(found) if row.answer is Kind.LIST else found)
        except ZyraError as error:
            note(row.name, error)


@router.on("walk.async")
async def walk_async(event: Event, zyra: AsyncZyra) -> None:
    into = Path(os.environ["WALK"]).with_name("file")
    for row in rows():
        function = method(zyra, row)
        ids, fields = arguments(row, function, into, "refresh-me")
        try:
            found = function(*ids, **fields)
            note(row.name, [one async for one in found] if row.answer is Kind.LIST else await found)
        except ZyraError as error:
            note(row.name, error)
