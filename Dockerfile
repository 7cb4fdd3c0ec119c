# One image for both roles: `serve` (the default) and `work`.
ARG PYTHON=3.13-slim-bookworm

FROM docker.io/library/python:${PYTHON} AS build
WORKDIR /src
RUN python -m venv /app
COPY requirements.txt requirements-build.txt ./
RUN /app/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
    && python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
RUN /build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /app/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl && /app/bin/pip uninstall --yes pip

FROM docker.io/library/python:${PYTHON}
RUN groupadd --gid 10001 receiver && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin receiver
COPY --from=build /app /app
# Handlers of your own: COPY them to /handlers and name their modules in WORKER_HANDLERS.
ENV PATH=/app/bin:$PATH PYTHONPATH=/handlers PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
WORKDIR /handlers
USER 10001:10001
EXPOSE 8080 9464 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-m", "receiver.health"]
ENTRYPOINT ["zyra-receiver"]
CMD ["serve"]
