"""What `workers` offers by name."""

import pytest

import workers


def test_the_package_has_what_it_says_and_nothing_else() -> None:
    assert all(getattr(workers, name) for name in workers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        workers.nothing  # noqa: B018
