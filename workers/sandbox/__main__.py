"""python -m workers.sandbox FOLDER PORT ENDPOINT-URL OPTIONS-AS-JSON: what `zyra-receiver dev` starts."""

import logging
import sys
from pathlib import Path

import msgspec
import uvicorn

from receiver.contract import logs

from .api import create_app
from .chaos import chaos
from .shapes import shape
from .state import CATALOGUE, State, write_private


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How it plays. minute: seconds of it, of limits and all that takes time; life: what happens by chance in one."""

    chaos: str = ""
    seed: int = 0
    shape: str = ""
    minute: float = 60.0
    life: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        chaos(self.chaos, self.seed)
        shape(self.shape)


def load(folder: Path) -> State:
    """What is kept in the folder: the API key, the endpoints, and seed.json, if it is there. Raises ValueError."""
    where = folder / "api-key"
    try:
        state = State(folder, where.read_text().strip())
        where = state.file
        state.load()
        where = folder / "seed.json"
        if where.exists():
            state.add(where.read_text())
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from None
    except ValueError as error:  # also what is no UTF-8, or no JSON
        raise ValueError(f"{where}: {error}") from None
    return state


def main(state: State, port: int, endpoint: str, options: Options) -> None:
    """Serves the sandbox; the secret of `endpoint`, which is told everything, goes into its folder."""
    logs.setup("WARNING")
    if "cut" in options.chaos:  # of which the server would complain each time
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    if endpoint:
        secret, file = state.demo_endpoint(endpoint, list(CATALOGUE)), state.folder / "webhook-secret"
        if not file.exists() or secret not in file.read_text().split(","):  # it may hold two, after a rotation
            write_private(file, secret)
    trouble = chaos(options.chaos, options.seed)
    app = create_app(state, minute=options.minute, shape=shape(options.shape), chaos=trouble, life=options.life)
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)).run()


if __name__ == "__main__":
    folder, port, endpoint, options = sys.argv[1:]
    main(load(Path(folder)), int(port), endpoint, msgspec.json.decode(options, type=Options))
