"""zyra-receiver serve"""

import typer

from receiver.server.serve import main

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve() -> None:
    """The receiver; everything is set in the environment."""
    main()
