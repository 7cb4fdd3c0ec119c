"""What this Redis lacks for a level of durability, and which settings it hides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contract.settings import Durability


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    lacks: tuple[str, ...]  # makes the level untrue: `check` exits with 2, readiness waits
    hidden: tuple[str, ...]  # what Redis would not tell: a warning


def judge(
    level: Durability, info: Mapping[str, Any], config: Mapping[str, str], replicas: int = 1, fault: str = ""
) -> Assessment:
    """info: INFO's fields. config: CONFIG GET's. Each is empty where the server or its rights refuse it.

    fault: what is wrong with the ledger itself, as `formats.find_fault` says.
    """
    lacks, hidden = [fault] * bool(fault), []
    policy = config.get("maxmemory-policy") or str(info.get("maxmemory_policy", ""))
    if policy and policy != "noeviction":
        lacks.append(f"maxmemory-policy is {policy}: Redis may drop accepted events; set noeviction")
    if not policy:
        hidden.append("maxmemory-policy is hidden: make sure that it is noeviction")
    if str(info.get("role", "master")) != "master":
        lacks.append("this Redis is a replica: connect to the primary")
    if level in (Durability.ALWAYS, Durability.EVERYSEC):
        if "aof_enabled" not in info:
            hidden.append("appendonly is hidden: make sure that it is yes")
        elif not int(info["aof_enabled"]):
            lacks.append("appendonly is off: a restart of Redis loses accepted events; set appendonly yes")
        fsync = config.get("appendfsync", "")
        enough = ("always",) if level is Durability.ALWAYS else ("always", "everysec")
        if fsync and fsync not in enough:
            lacks.append(f"appendfsync is {fsync}: DURABILITY={level} needs {' or '.join(enough)}")
        if not fsync:
            hidden.append(f"appendfsync is hidden: make sure that it is {' or '.join(enough)}")
    if level is Durability.REPLICATED:
        if "connected_slaves" not in info:
            hidden.append(f"the number of replicas is hidden: make sure that there are {replicas}")
        elif int(info["connected_slaves"]) < replicas:
            connected = info["connected_slaves"]
            lacks.append(f"{connected} replicas are connected: DURABILITY=replicated needs {replicas}")
    return Assessment(lacks=tuple(lacks), hidden=tuple(hidden))
