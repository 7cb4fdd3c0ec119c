"""Secrets come from NAME or from the file that NAME_FILE names, never from a configuration file."""

import hmac
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ConfigurationError

COMMAND_SECONDS = 30.0  # that SEAL_KEY_COMMAND may take
RECHECK_SECONDS = 1.0  # between two looks at a file


PEM = "-----BEGIN"
COMMAS = ("ZYRA_WEBHOOK_SECRET", "SEAL_KEY")  # whose values hold no comma: several may stand in one variable


class Secret:
    """One value, or of a file its lines, newest first. A file is read again when it changes; what breaks keeps the old.

    awaited: whether the file may not be there yet, since the provider will tell the secret. commas: whether they
    separate values; a comma is a part of any other secret.
    """

    def __init__(
        self,
        name: str,
        text: str | None,
        path: Path | None,
        clock: Callable[[], float] = time.monotonic,
        awaited: bool = False,
        commas: bool = False,
    ):
        self.name = name
        self._commas = commas or name in COMMAS
        self._awaited = awaited
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._checked = clock()
        self._values: tuple[str, ...] = ()
        if text is not None:
            self._values = split(name, text, self._commas)
        elif not awaited or (path and path.exists()):
            self._values = self._read()

    @property
    def values(self) -> tuple[str, ...]:
        if self._path is not None and self._clock() - self._checked >= RECHECK_SECONDS:
            self._checked = self._clock()
            self._refresh()
        return self._values

    @property
    def has_comma(self) -> bool:
        """Whether a value of the environment holds a comma, which is a part of it."""
        return (
            self._path is None and not self._commas and any("," in one for one in self._values if one[:1] not in "{-")
        )

    def learn(self, text: str) -> bool:
        """Stores the secret if none was told yet. Whether it is the secret now.

        Raises ConfigurationError where it cannot be written.
        """
        if not self._awaited or self._path is None:
            return False
        self._refresh()
        if not self._values and not self._path.exists():
            try:
                keep(self._path, text)
            except FileExistsError:
                pass  # told to another receiver in this moment
            except OSError as error:
                raise ConfigurationError([f"cannot write {self._path}: {error.strerror}"]) from None
            self._refresh()
        return any(hmac.compare_digest(text.encode(), one.encode()) for one in self._values)

    def _refresh(self) -> None:
        try:
            if self._stamp != self._look():
                self._values = self._read()
        except ConfigurationError:
            pass  # half-written or gone for a moment: the old values stay until the file is whole again

    def _look(self) -> tuple[int, int]:
        assert self._path is not None
        try:
            stat = self._path.stat()
        except OSError as error:
            raise ConfigurationError([f"{self.name}_FILE: cannot read {self._path}: {error.strerror}"]) from None
        return stat.st_mtime_ns, stat.st_size

    def _read(self) -> tuple[str, ...]:
        assert self._path is not None
        self._stamp = self._look()
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError([f"{self.name}_FILE: cannot read {self._path}: {error}"]) from None
        return split(self.name, text, self._commas, lines=True)


def keep(path: Path, text: str) -> None:
    """Writes a new file with mode 0600, atomically, and syncs it. Raises FileExistsError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".secret-") as file:  # readable by its owner only
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def split(name: str, text: str, commas: bool, lines: bool = False) -> tuple[str, ...]:
    """The values of a text; an empty one is an error, since an empty key signs anything.

    A public key in PEM, or a set of keys in JSON, is one value, whatever it holds.
    """
    if text.lstrip().startswith("{"):
        return (text,)
    if text.lstrip().startswith(PEM):
        return tuple(PEM + block.rstrip(" ,\r\n") for block in text.split(PEM)[1:])
    parts = text.rstrip("\r\n").splitlines() if lines else [text]
    if commas:
        parts = [item.strip() for line in parts for item in line.split(",")]
    items = tuple(parts)
    if not items or not all(item.strip() for item in items):
        raise ConfigurationError([f"{name} is empty or has an empty item"])
    return items


def read_command(name: str, command: str) -> Secret:
    """What a command prints, such as one that asks a vault: a value a line. It runs once, without a shell.

    Raises ConfigurationError, without anything that it printed.
    """
    try:
        ended = subprocess.run(shlex.split(command), capture_output=True, timeout=COMMAND_SECONDS, check=False)  # noqa: S603 - the operator's own
        text = ended.stdout.decode()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [f"{name}_COMMAND cannot be run: {getattr(error, 'strerror', None) or error}"]
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError([f"{name}_COMMAND did not end within {COMMAND_SECONDS:g} s"]) from None
    if ended.returncode:
        raise ConfigurationError([f"{name}_COMMAND failed with exit status {ended.returncode}: try it by hand"])
    return Secret(name, ",".join(text.split()), None)


def read(env: Mapping[str, str], name: str) -> Secret | None:
    """The secret called name, or None where neither NAME nor NAME_FILE is set."""
    text, path = env.get(name), env.get(f"{name}_FILE")
    if text is not None and path is not None:
        raise ConfigurationError([f"{name} and {name}_FILE are both set: keep one"])
    if text is None and path is None:
        return None
    return Secret(name, text, Path(path) if path is not None else None)
