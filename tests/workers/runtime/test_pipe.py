"""What a parent and its processes say to each other."""

from workers.runtime.pipe import make_pair


def test_a_pipe_carries_messages_until_its_end_is_gone() -> None:
    one, two = make_pair()
    one.send(a=1)
    one.send(b=[2])

    assert two.receive() == [{"a": 1}, {"b": [2]}]
    one.close()
    assert two.receive() is None
    two.send(c=3)  # nobody is there; that shows where we receive
    two.close()
    assert two.receive() is None
