"""What we compare with: verify, parse, enqueue."""

import hashlib
import hmac
import json
import os

from redis import Redis
from rq import Queue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECRET = b"bench-secret"
queue = Queue(os.environ["QUEUE"], connection=Redis.from_url(os.environ["REDIS_URL"]))


async def hook(request: Request) -> Response:
    body = await request.body()
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
        return Response(status_code=401)
    queue.enqueue("tests.bench.handlers.noop", json.loads(body))
    return Response(status_code=202)


app = Starlette(routes=[Route("/webhooks/github", hook, methods=["POST"])])
