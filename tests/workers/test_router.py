from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from workers import AsyncZyra, Event, Router, handler
from workers import router as module
from workers.errors import WrongHandler


def event(kind: str, source: str = "zyra") -> Event:
    return Event(
        id="e",
        source=source,
        type=kind,
        payload={},
        resource_id="",
        body=b"",
        headers={},
        received_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("pattern", "kind", "fits"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", True),
        ("a.*", "a", False),
        ("a.*", "ab.c", False),
        ("*", "anything", True),
    ],
)
def test_types(pattern: str, kind: str, fits: bool) -> None:
    router = Router()
    router.on(pattern)(lambda event: None)

    assert [handler.wants(event(kind)) for handler in router] == [fits]


def test_a_handler_is_for_one_source_unless_it_says_otherwise() -> None:
    router = Router()
    router.on("*", name="zyra")(lambda event: None)
    router.on("*", name="all", source="*")(lambda event: None)

    assert [handler.name for handler in router if handler.wants(event("a", "github"))] == ["all"]


def test_when_decides_last() -> None:
    router = Router()
    router.on("*", when=lambda event: event.type == "a")(lambda event: None)
    (handler,) = router

    assert [handler.wants(event("a")), handler.wants(event("b"))] == [True, False]


def test_routers_compose_and_names_are_unique() -> None:
    def same(event: Event) -> None: ...

    one, two = Router(), Router()
    one.on("a")(same)
    two.on("b")(same)

    with pytest.raises(ValueError, match="two handlers are called"):
        one.include(two)
    whole = Router()
    whole.include(one)
    assert whole.get(f"{__name__}.test_routers_compose_and_names_are_unique.<locals>.same")
    assert whole.get("none") is None


def test_the_client_is_passed_where_it_is_asked_for() -> None:
    router = Router()
    router.on("a", name="one")(lambda event: None)
    router.on("a", name="two")(lambda event, zyra: None)

    @router.on("a", name="three")
    async def three(event: Event, zyra: Any = None) -> None: ...

    assert [(handler.takes_client, handler.is_async) for handler in router] == [
        (False, False),
        (True, False),
        (True, True),
    ]


@pytest.mark.parametrize("function", [lambda: None, lambda a, b, c: None])
def test_a_function_that_takes_no_event_is_no_handler(function: Any) -> None:
    with pytest.raises(ValueError, match="must take an event"):
        Router().on("a")(function)


@pytest.mark.parametrize(
    ("kind", "options"), [("", {}), ("a", {"timeout": 0}), ("a", {"max_attempts": 0}), ("a", {"concurrency": 0})]
)
def test_options_that_make_no_sense_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"test_router.py:[0-9]+: "):
        Router().on(kind, **options)


def test_types_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_TYPES", 3)
    router = Router()
    router.on("a.*", name="a")(lambda event: None)

    found = [len(router.find_matching("zyra", f"a.{number}")) for number in range(10)]

    assert found == [1] * 10
    assert len(router._matching) <= 3


def test_a_handler_that_comes_later_is_found() -> None:
    router = Router()
    assert not router.find_matching("zyra", "a.b")

    router.on("a.b", name="late")(lambda event: None)

    assert [handler.name for handler in router.find_matching("zyra", "a.b")] == ["late"]


@pytest.mark.parametrize(
    ("types", "options", "message"),
    [
        ((), {}, "name the type"),
        ((["a.b", "c.d"],), {}, r"on\('a.b', 'c.d'\), not a list"),
        ((lambda event: None,), {}, "with the type in parentheses"),
        ((5,), {}, "a type is a text, not 5"),
        (("",), {}, "is no type"),
        (("*.created",), {}, "a \\* may stand only at the end"),
        (("a*",), {}, "is no type"),
        (("a\n",), {}, "is no type"),
        (("a",), {"source": ["zyra"]}, "source= must be"),
        (("a",), {"name": ""}, "name= must be"),
        (("a",), {"when": "x"}, "when= must be a function"),
        (("a",), {"timeout": "60"}, "timeout= must be seconds"),
        (("a",), {"timeout": float("nan")}, "timeout= must be seconds"),
        (("a",), {"max_attempts": 1.5}, "max_attempts= must be a whole number"),
        (("a",), {"concurrency": True}, "concurrency= must be a whole number"),
        (("a",), {"isolated": 1}, "isolated= must be True or False"),
        (("a",), {"source": "", "timeout": 0}, "source= .*; timeout= "),
    ],
)
def test_every_word_is_checked(types: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router().on(*types, **options)


def test_a_when_that_is_async_is_always_true_and_therefore_refused() -> None:
    async def when(event: Event) -> bool:
        return False

    with pytest.raises(ValueError, match="plain function"):
        Router().on("a", when=when)  # type: ignore[arg-type]


def test_several_types() -> None:
    router = Router()
    router.on("a.b", "c.*")(lambda event: None)

    assert [len(router.find_matching("zyra", kind)) for kind in ("a.b", "c.d", "a.c")] == [1, 1, 0]


def test_a_handler_that_cannot_be_matched_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router()
    router.on("a", name="good")(lambda event: None)
    router.on("b", name="bad")(lambda event: None)
    real = handler.is_of_type

    def fits(wanted: str, kind: str) -> bool:
        if wanted == "b":
            raise TypeError("a fault")
        return real(wanted, kind)

    monkeypatch.setattr(handler, "is_of_type", fits)

    assert [handler.name for handler in router.find_matching("zyra", "a")] == ["good", "bad"]


def test_the_first_part_of_a_composed_type_is_a_type_too() -> None:
    router = Router()
    router.on("issues", source="hub", name="one")(lambda event: None)
    router.on("issues.opened", source="hub", name="two")(lambda event: None)

    def names(kind: str, stem: str = "") -> list[str]:
        return [handler.name for handler in router.find_matching("hub", kind, stem=stem)]

    assert names("issues.opened", "issues") == ["one", "two"]
    assert names("issues.opened") == ["two"]  # a type that has a dot by itself
    assert names("issues") == ["one"]


def test_an_included_router_may_get_handlers_later() -> None:
    whole, part, inner = Router(), Router(), Router()
    whole.include(part)
    part.include(inner)

    inner.on("job.failed", name="late")(lambda event: None)

    assert [handler.name for handler in whole] == ["late"]


def test_a_router_is_included_twice_at_no_cost_and_never_in_itself() -> None:
    whole, part = Router(), Router()
    part.on("job.failed", name="one")(lambda event: None)
    whole.include(part)
    whole.include(part)

    assert len(list(whole)) == 1
    for outer, inner in ((whole, whole), (part, whole)):
        with pytest.raises(ValueError, match="cannot include itself"):
            outer.include(inner)
    with pytest.raises(ValueError, match="takes a Router, not module"):
        whole.include(module)  # type: ignore[arg-type]


def test_a_when_whose_answer_has_yet_to_run_fails() -> None:
    async def slow() -> bool:
        return False

    router = Router()
    router.on("*", name="one", when=lambda event: slow())  # type: ignore[arg-type,return-value]
    router.on("*", name="two", when=lambda event: slow())(lambda event: None)  # type: ignore[arg-type,return-value]
    (handler,) = router

    with pytest.raises(TypeError, match="its `when` returned a coroutine"):
        handler.wants(event("a"))


def test_a_router_is_included_whole_or_not_at_all() -> None:
    whole, inner, part = Router(), Router(), Router()
    whole.on("job.failed", name="taken")(lambda event: None)
    whole.include(inner)
    for name in ("first", "taken"):
        part.on("job.failed", name=name)(lambda event: None)

    with pytest.raises(ValueError, match=r"two handlers are called 'taken', the other at test_router\.py:"):
        inner.include(part)

    assert [handler.name for handler in whole] == ["taken"]
    assert list(inner) == []


@pytest.mark.parametrize(
    ("value", "age"),
    [(5, 5.0), (1.5, 1.5), ("1970-01-01T00:00:02Z", 2.0), ("1970-01-01T00:00:03", 3.0), (None, None), ("", None)],
)
def test_the_age_of_an_event_is_a_number_or_a_time(value: Any, age: float | None) -> None:
    router = Router()
    router.on("a", key="resource", newest="data.at")(lambda event: None)
    (handler,) = router

    assert handler.find_age(replace(event("a"), payload={"data": {"at": value}})) == age


@pytest.mark.parametrize("value", ["soon", True, ["2026-01-01"], {}])
def test_an_age_that_is_none_is_no_age(value: Any) -> None:
    router = Router()
    router.on("a", key="resource", newest="data.at")(lambda event: None)
    (handler,) = router

    if value == ["2026-01-01"]:  # a list of one is that one, as in forms
        value = ["soon"]
    with pytest.raises(ValueError, match=r"data\.at is neither a number nor a time"):
        handler.find_age(replace(event("a"), payload={"data": {"at": value}}))


def test_a_key_is_a_path_or_what_a_function_answers() -> None:
    async def slow() -> str:
        return "x"

    router = Router()
    router.on("a", name="none")(lambda event: None)
    router.on("a", name="path", key="data.customer", concurrency=1)(lambda event: None)
    router.on("a", name="resource", key="resource", rate="1/s")(lambda event: None)
    router.on("a", name="function", key=lambda event: event.type, concurrency=1)(lambda event: None)
    router.on("a", name="slow", key=lambda event: slow(), concurrency=1)(lambda event: None)
    one = replace(event("a"), payload={"data": {"customer": 7, "id": "x_1"}})
    keys = {handler.name: handler for handler in router}

    assert [keys[name].find_key(one) for name in ("none", "path", "resource", "function")] == ["", "7", "x_1", "a"]
    with pytest.raises(TypeError, match="its `key` returned a coroutine"):
        keys["slow"].find_key(one)


def test_what_runs_for_dead_letters_is_that_of_the_nearest_router() -> None:
    root, child, own = Router(), Router(), Router()
    root.on("a", name="root")(lambda event: None)
    child.on("a", name="child")(lambda event: None)
    own.on("a", name="own")(lambda event: None)
    root.include(child)
    child.include(own)
    names = ("root", "child", "own")
    assert [root.find_dead_hook(name) for name in names] == ["", "", ""]

    @root.on_dead
    def page(event: Event) -> None: ...

    @own.on_dead
    async def tell(event: Event, zyra: AsyncZyra) -> None: ...

    hooks = [root.find_dead_hook(name).rpartition(".")[2] for name in names]
    assert hooks == ["page", "page", "tell"]
    assert [one.name for one in root.find_matching("zyra", "a")] == ["root", "child", "own"]
    hook = root.get(root.find_dead_hook("own"))
    assert hook
    assert (hook.is_async, hook.takes_client) == (True, True)


def test_a_wrong_on_dead_is_refused() -> None:
    router = Router()
    router.on_dead(page)

    for function, fault in ((page, "has on_dead already: .*page"), ("page", "a handler is a function, not")):
        with pytest.raises(WrongHandler, match=fault):
            router.on_dead(function)
    with pytest.raises(WrongHandler, match=r"write @router\.on_dead, without parentheses"):
        Router().on_dead()
    with pytest.raises(WrongHandler, match="on_dead needs a `def` or `async def`"):
        Router().on_dead(partial(page))
    with pytest.raises(WrongHandler, match="two handlers are called"):
        Router().include(make_router_with_page(router))


def page(event: Event) -> None: ...


def make_router_with_page(other: Router) -> Router:
    router = Router()
    router.on("a")(page)
    router.include(other)
    return router
