from receiver.errors import Unavailable
from receiver.server.bodies import SMALL_BYTES, BodyBudget

KIB = 1024


class Request:
    def __init__(self) -> None:
        self.held_bytes = 0
        self.failed = False

    def fail(self, kind: type[Unavailable], cause: str) -> None:
        assert (kind, cause) == (Unavailable, "bodies")
        self.failed = True


def requests(count: int) -> list[Request]:
    return [Request() for _ in range(count)]


def hold(budget: BodyBudget, request: Request, size: int, others: list[Request]) -> None:
    budget.hold(request, size)
    if budget.is_over:
        budget.make_room([request, *others])


def test_the_largest_is_given_up_and_not_the_newcomer() -> None:
    budget, (large, middle, new) = BodyBudget(800 * KIB), requests(3)
    hold(budget, large, 500 * KIB, [])
    hold(budget, middle, 190 * KIB, [large])

    hold(budget, new, 120 * KIB, [large, middle])

    assert [one.failed for one in (large, middle, new)] == [True, False, False]
    assert (budget.held_bytes, budget.shed) == (310 * KIB, 1)


def test_as_many_go_as_must() -> None:
    budget, small = BodyBudget(1000 * KIB), requests(15)
    for one in small:
        hold(budget, one, 60 * KIB, small)
    new = Request()

    hold(budget, new, 250 * KIB, small)

    assert new.failed  # it is the largest by far
    assert (budget.held_bytes, budget.shed) == (900 * KIB, 1)
    for one in small:
        hold(budget, one, KIB, small)
    hold(budget, Request(), 63 * KIB, small)
    assert (budget.held_bytes, budget.shed) == (978 * KIB, 1)
    hold(budget, Request(), 63 * KIB, small)  # none is larger than 63 KiB: the first of the equals goes
    assert budget.held_bytes <= 1000 * KIB


def test_small_bodies_have_a_reserve() -> None:
    budget, (large, small) = BodyBudget(800 * KIB), requests(2)
    hold(budget, large, 700 * KIB, [])
    assert not large.failed

    hold(budget, small, SMALL_BYTES, [])  # the large one is complete by now

    assert not small.failed
    other = Request()
    hold(budget, other, SMALL_BYTES + 1, [])
    assert other.failed


def test_what_is_complete_is_not_given_up() -> None:
    budget, (complete, new) = BodyBudget(400 * KIB), requests(2)
    hold(budget, complete, 340 * KIB, [])

    hold(budget, new, 100 * KIB, [])

    assert (complete.failed, new.failed) == (False, True)
    budget.release(complete)
    budget.release(complete)
    assert budget.held_bytes == 0
