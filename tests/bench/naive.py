"""What we compare with: verify, parse, enqueue. `app` leaves the loop free meanwhile, `blocking` does not."""

import hashlib
import hmac
import json
import os

from redis import Redis
from rq import Queue
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECRET = os.environ["BENCH_SECRET"].encode()
queue = Queue(os.environ["QUEUE"], connection=Redis.from_url(os.environ["REDIS_URL"]))


async def verified(request: Request) -> bytes | None:
    body = await request.body()
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    return body if hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")) else None


async def hook(request: Request) -> Response:
    body = await verified(request)
    if body is None:
        return Response(status_code=401)
    await run_in_threadpool(queue.enqueue, "tests.bench.handlers.job", json.loads(body))
    return Response(status_code=202)


async def hook_blocking(request: Request) -> Response:
    body = await verified(request)
    if body is None:
        return Response(status_code=401)
    queue.enqueue("tests.bench.handlers.job", json.loads(body))
    return Response(status_code=202)


app = Starlette(routes=[Route("/webhooks/github", hook, methods=["POST"])])
blocking = Starlette(routes=[Route("/webhooks/github", hook_blocking, methods=["POST"])])
