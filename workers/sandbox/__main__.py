"""python -m workers.sandbox FOLDER PORT ENDPOINT-URL: what `zyra-receiver dev` starts."""

import sys
from pathlib import Path

import uvicorn

from receiver.contract import logs

from .api import create_app
from .state import CATALOGUE, State, write_private


def main(folder: Path, port: int, endpoint: str) -> None:
    """Serves the sandbox: reads its key from FOLDER/api-key, writes the signing secret to FOLDER/webhook-secret."""
    logs.setup("WARNING")
    state = State(folder, (folder / "api-key").read_text().strip())
    state.load()
    write_private(folder / "webhook-secret", state.demo_endpoint(endpoint, list(CATALOGUE)))
    config = uvicorn.Config(create_app(state), host="127.0.0.1", port=port, log_config=None, access_log=False)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
