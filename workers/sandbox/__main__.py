"""python -m workers.sandbox FOLDER PORT ENDPOINT-URL [CHAOS SEED SHAPE MINUTE]: what `zyra-receiver dev` starts."""

import sys
from pathlib import Path

import uvicorn

from receiver.contract import logs

from .api import create_app
from .chaos import chaos
from .shapes import shape
from .state import CATALOGUE, State, write_private


def main(
    folder: Path, port: int, endpoint: str = "", kinds: str = "", seed: int = 0, how: str = "", minute: float = 60.0
) -> None:
    """Serves the sandbox: reads its key from FOLDER/api-key, writes the signing secret to FOLDER/webhook-secret.

    FOLDER/seed.json, if it is there, adds to what there is at the start: rows by area and id.
    """
    logs.setup("WARNING")
    state = State(folder, (folder / "api-key").read_text().strip())
    state.load()
    if (folder / "seed.json").exists():
        state.add((folder / "seed.json").read_text())
    if endpoint:
        write_private(folder / "webhook-secret", state.demo_endpoint(endpoint, list(CATALOGUE)))
    app = create_app(state, minute=minute, shape=shape(how), chaos=chaos(kinds, seed))
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)).run()


if __name__ == "__main__":
    folder, port, endpoint, *rest = sys.argv[1:]
    kinds, seed, how, minute = rest or ("", "0", "", "60")
    main(Path(folder), int(port), endpoint, kinds, int(seed), how, float(minute))
