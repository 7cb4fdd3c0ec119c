"""The collector of cycles, made rare: what we make for a request or an attempt is freed as soon as it is let go."""

import gc

EVERY = 50_000  # new containers until it looks at the youngest; Python's own default is 700


def settle() -> None:
    """What is there now, modules and configuration, stays, and is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(EVERY, 20, 50)
