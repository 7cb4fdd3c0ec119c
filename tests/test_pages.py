import pytest

from tests.pages import DOCS, PAGES, render


@pytest.mark.parametrize("name", PAGES)
def test_a_table_is_what_the_data_say(name: str) -> None:
    assert (DOCS / name).read_text() == render(name), "run `python -m tests.pages`"
