"""zyra-receiver serve"""

import typer

from receiver.server.serve import main

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve() -> None:
    """Run the receiver. All settings come from the environment."""
    main()
