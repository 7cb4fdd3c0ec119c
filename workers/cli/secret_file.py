"""The file in which receivers find Zyra's signing secrets, and the note beside it of a rotation that is under way."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from receiver.contract.errors import ConfigurationError

from .local import read_environment

MAX_FILE_BYTES = 65536  # of such a file


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """first: the endpoint that is to go; endpoint: the new one, with its secret; before: what the file held."""

    first: str
    endpoint: str
    secret: str
    before: str


def choose_path(path: Path | None) -> Path:
    """Raises ConfigurationError where nobody says where the secret is."""
    named = read_environment().get("ZYRA_WEBHOOK_SECRET_FILE")
    if path is None and not named:
        raise ConfigurationError(["--secret-file is needed: the file where the receiver finds the signing secret"])
    return Path(os.path.realpath(path or str(named)))  # by one name, whoever calls it how


def read(path: Path) -> str | None:
    """What stands in it, or None where nothing does, or there is none. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"cannot read {path}: {error}"]) from None


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Locks the secret file against other `endpoints` commands. Raises ConfigurationError."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError([f"cannot write {lock}: {error.strerror}"]) from None
    try:
        lock_or_fail(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def lock_or_fail(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError([f"another `endpoints` command is at work with {path}"]) from None
    except OSError as error:  # a file system without locks
        raise ConfigurationError([f"cannot lock beside {path}: {error.strerror}"]) from None


def check_writable(path: Path) -> None:
    """Raises ConfigurationError where a secret could not be kept there, before anybody tells us one."""
    for one in (path, note_path(path)):
        try:
            is_new = not one.exists()
            os.close(os.open(one, os.O_WRONLY | os.O_CREAT, 0o600))
            if is_new:
                one.unlink()
        except OSError as error:
            raise ConfigurationError([f"cannot write {one}: {error.strerror}"]) from None


def write(path: Path, text: str) -> None:
    """Writes the file in place, since a container that has it mounted by itself would not see another one.

    It is one write of a few bytes; owner and rights stay. Who reads in this very moment may see a part, and looks again
    within a second. Raises OSError.
    """
    content = text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if os.pwrite(descriptor, content, 0) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_answer(path: Path, content: bytes) -> Path:
    """Stores an answer whose secret could not be read, for its owner alone; returns the file. Raises OSError."""
    kept = path.with_name(f".{path.name}.answer")
    write(kept, content.decode("utf-8", "backslashreplace"))
    return kept


def note_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.rotation")


def read_rotation(path: Path) -> Rotation | None:
    """The rotation that was broken off, if its note was written whole."""
    try:
        return msgspec.json.decode(note_path(path).read_bytes(), type=Rotation)
    except (OSError, msgspec.DecodeError):
        return None


def begin_rotation(path: Path, rotation: Rotation) -> None:
    """Writes the note before the file, so that the new secret is never lost. Raises OSError."""
    write(note_path(path), msgspec.json.encode(rotation).decode())
    write(path, f"{rotation.secret},{rotation.before}")


def end_rotation(path: Path) -> None:
    note_path(path).unlink(missing_ok=True)
