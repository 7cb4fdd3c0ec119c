"""What stands at a path of a payload, such as data.{resource}.id: above all the id of what an event is about."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from .body import read
from .errors import Unreadable
from .records import Body, Content

RESOURCE_PATHS = (  # places that name the resource come first; `id` at the top is the event's own
    "data.{resource}.id", "data.{resource}_id", "data.resource.id", "data.resource_id", "{resource}.id",
    "{resource}_id", "resource.id", "resource_id", "data.object.id", "object.id", "data.id", "data.{family}_id",
    "{family}_id",
)  # fmt: skip
NO_PATH = 1_000_000  # the rank of what no path ends with


class Node(msgspec.Struct, gc=False):
    """Paths that begin alike. rank: the place of the path that ends here among all; the lowest one counts."""

    rank: int = NO_PATH
    branches: dict[str, "Node"] = {}


def find_resource_id(payload: Any, kind: str, paths: tuple[str, ...] = ()) -> str:
    """The id of what the event is about, at the first path that holds one; "" where none does.

    paths: the source's own; () for RESOURCE_PATHS.
    """
    return find_first(payload, make_tree(kind, paths))[1]


def find_first(value: Any, node: Node) -> tuple[int, str]:
    """The rank of the first path that holds an id, and the id."""
    rank, text, branches = NO_PATH, "", node.branches
    is_object = type(value) is dict
    for step in value if is_object and len(value) < len(branches) else branches:
        branch = branches.get(step)
        inner = value.get(step) if is_object else enter(value, step)
        if inner is None or branch is None:
            continue
        if branch.rank < rank and (found := to_id(inner)):
            rank, text = branch.rank, found
        if branch.branches:
            deeper = find_first(inner, branch)
            if deeper[0] < rank:
                rank, text = deeper
    return rank, text


def find_resource(payload: Any, kind: str, paths: tuple[str, ...] = ()) -> Any:
    """The object in which the resource's id stands; without an id, what stands at `data`."""
    for steps in expand_paths(kind, paths or RESOURCE_PATHS):
        if to_id(walk(payload, steps)):
            return walk(payload, steps[:-1])
    return enter(payload, "data")


def to_id(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:  # a field of a form
        value = value[0]
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def enter(value: Any, step: str) -> Any:
    """What a step of a path leads to; None where there is nothing. A number is a place in a list."""
    if isinstance(value, list) and step.isdecimal():
        return value[int(step)] if len(step) < 4 and int(step) < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def find_value(payload: Any, kind: str, path: str, resource: tuple[str, ...] = ()) -> str:
    """The text or number at a path, as text; "" where there is none. The path `resource` is that to the resource's id.

    resource: the source's own paths to that.
    """
    return find_resource_id(payload, kind, resource) if path == "resource" else to_id(walk(payload, path.split(".")))


def walk(payload: Any, steps: Sequence[str]) -> Any:
    """What stands at the end of a path; None where there is nothing."""
    value = payload
    for step in steps:
        value = enter(value, step)
    return value


def read_resource_id(content: Content, kind: str) -> str:
    """The same id from an event's body, of which no more is built than its paths name; "" of an unreadable one."""
    if content.format is Body.JSON:
        decode, tree = make_reader(kind, content.resource)
        try:
            return find_first(decode(content.body), tree)[1]
        except (msgspec.MsgspecError, ValueError, RecursionError):  # no JSON, or no object where a path goes on
            pass
    try:
        return find_resource_id(read(content), kind, content.resource)
    except Unreadable:
        return ""


@lru_cache(maxsize=1024)
def make_reader(kind: str, paths: tuple[str, ...]) -> tuple[Callable[[bytes], Any], Node]:
    """A decoder that builds no more of JSON than these paths name, and the paths."""
    tree = make_tree(kind, paths)
    return msgspec.json.Decoder(make_type(tree)).decode, tree


def make_type(node: Node) -> Any:
    """A type for msgspec: what a path ends with may be anything, and of an object only what a path names is read."""
    if node.rank != NO_PATH or any(name.isdecimal() for name in node.branches):
        return Any
    fields = {name: make_type(branch) for name, branch in node.branches.items()}
    return TypedDict("Known", fields, total=False)  # type: ignore[operator]


@lru_cache(maxsize=1024)
def make_tree(kind: str, paths: tuple[str, ...]) -> Node:
    root = Node()
    for rank, steps in enumerate(expand_paths(kind, paths or RESOURCE_PATHS)):
        node = root
        for step in steps:
            node = node.branches.setdefault(step, Node())
        node.rank = min(rank, node.rank)
    return root


def expand_paths(kind: str, paths: tuple[str, ...]) -> list[list[str]]:
    """The paths' steps. Of sla.breach.started {resource} is breach, and {family} is sla."""
    resource, *families = kind.split(".")[-2::-1] or [kind]
    expanded = [
        path.replace("{resource}", resource).replace("{family}", family)
        for path in paths
        for family in (families if "{family}" in path else [""])
    ]
    return [path.split(".") for path in expanded]
