"""The same handler with one place among all workers: its runs are queued, and not begun as they are made."""

from workers import Router

from .handlers import one

router = Router()
router.on("fault.*", name="one", concurrency=1)(one)
