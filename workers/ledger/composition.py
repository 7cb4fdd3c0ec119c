"""The Lua of each transition, put together from its shared parts and its own."""

from receiver.contract.scripts import compose_script

DELETING = {"sweep.lua", "shed.lua", "purge.lua", "erase.lua"}  # they delete events
ENDING = {"take.lua", "dispatch.lua", "finish.lua", "replay.lua", "discard.lua", "restore.lua"}  # they can end one
PARTS = {  # shared, and the scripts that use them
    "close.lua": DELETING | ENDING,
    "claim.lua": {"take.lua", "alone.lua"},
    "delete.lua": DELETING,
    "lanes.lua": {
        "take.lua",
        "dispatch.lua",
        "finish.lua",
        "sweep.lua",
        "discard.lua",
        "replay.lua",
        "erase.lua",
        "join_lane.lua",
        "restore.lua",
    },
}
# These need memory; all others help work to its end, which frees memory.
GROWING = {"replay.lua", "allow.lua", "rate.lua", "debounce.lua", "restore.lua"}
TYPES = {  # of keys that the receiver's script does not use
    "paused": "zset",
    "blocked": "zset",
    "gate": "zset",
    "undispatched": "zset",
    "stopped": "zset",
    "lane_key": "string",
    "causes": "zset",
    "blind_index": "zset",
    "pauses": "hash",
    "keeps": "hash",
    "done_at": "hash",
    "shed_until": "hash",
}


def compose_transition(name: str) -> str:
    shared = [part for part, users in PARTS.items() if name in users]
    allow_oom, heals = name not in GROWING, name == "sweep.lua"
    return compose_script("workers.ledger.scripts", *shared, name, allow_oom=allow_oom, heals=heals, more_types=TYPES)
