"""python -m workers.sandbox FOLDER PORT ENDPOINT-URL OPTIONS-AS-JSON: what `zyra-receiver dev` starts."""

import logging
import sys
from pathlib import Path

import msgspec
import uvicorn

from receiver.contract import logs

from .api import create_app
from .catalogue import TYPES
from .chaos import parse_chaos
from .shapes import parse_shape
from .state import CONTROL_TOKEN, State, write_private


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """minute: seconds that a minute lasts. life: spontaneous events a minute."""

    chaos: str = ""
    seed: int = 0
    shape: str = ""
    minute: float = 60.0
    life: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        parse_chaos(self.chaos, self.seed)
        parse_shape(self.shape)


def load(folder: Path, endpoint: str) -> State:
    """What is kept in the folder: the API key, the endpoints, and seed.json, if it is there. Raises ValueError.

    endpoint: a URL that is told everything, if there is one; its secret goes into the folder, too.
    """
    where = folder / "api-key"
    try:
        state = State(folder, where.read_text().strip())
        where = state.file
        state.load()
        where = folder / "seed.json"
        if where.exists():
            state.add(where.read_text())
        where = folder / "webhook-secret"
        if endpoint:
            secret = state.add_demo_endpoint(endpoint, list(TYPES))
            if not where.exists() or secret not in where.read_text().split(","):  # it may hold two, after a rotation
                write_private(where, secret)
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from None
    except ValueError as error:  # also what is no UTF-8, or no JSON
        raise ValueError(f"{where}: {error}") from None
    return state


def main(state: State, port: int, options: Options) -> None:
    """Serves the sandbox; whoever can read its folder has the token of its control API."""
    write_private(state.folder / CONTROL_TOKEN, state.control_token)
    logs.setup("WARNING")
    if "cut" in options.chaos:  # of which the server would complain each time
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    trouble = parse_chaos(options.chaos, options.seed)
    app = create_app(state, minute=options.minute, shape=parse_shape(options.shape), chaos=trouble, life=options.life)
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)).run()


if __name__ == "__main__":
    folder, port, endpoint, options = sys.argv[1:]
    main(load(Path(folder), endpoint), int(port), msgspec.json.decode(options, type=Options))
