from receiver.contract import keys
from receiver.contract.keys import EVENT, JOB, Keys


def test_event_ids_are_unique_and_sort_by_time() -> None:
    ids = [keys.make_event_id(moment) for moment in range(1_700_000_000_000, 1_700_000_001_000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert all(EVENT.fullmatch(one) for one in ids)


def test_a_job_id_says_what_it_is_for() -> None:
    event = keys.make_event_id(1)
    run = keys.make_run_id(event, "a.b")

    assert JOB.fullmatch(f"7-{event}")
    assert JOB.fullmatch(f"7-{run}")
    assert keys.read_event_id(run) == event
    assert keys.is_run(run)
    assert not keys.is_run(event)
    assert not JOB.fullmatch("os.system")


def test_every_key_is_below_our_prefix() -> None:
    found = Keys("q")

    assert {found.event("e"), found.body("e"), found.run("r"), found.name("events")} == {
        "zr:{q}:event:e", "zr:{q}:body:e", "zr:{q}:run:r", "zr:{q}:events",
    }  # fmt: skip
    assert (found.jobs, found.intermediate) == ("{q}:rq:queue:q", "{q}:rq:queue:q:intermediate")


def test_ids_of_one_millisecond_sort_in_the_order_in_which_they_were_made() -> None:
    ids = [keys.make_event_id(7) for _ in range(1024)]

    assert ids == sorted(ids)
    assert keys.make_event_id(7)[14:16] == ids[-1][14:16] == "zz"
    assert keys.EVENT.fullmatch(keys.make_event_id(8))
