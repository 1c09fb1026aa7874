# The supervisor's image. For the classic builder too: no RUN --mount, no heredocs.
#
# The base may be any image with Python 3.11 or newer as `python3`, with its venv module, and with
# libstdc++, which gRPC needs.
ARG BASE_IMAGE=python:3.11-slim-bookworm


# --- builder: has pip and the build backend, of which nothing reaches the final image
FROM ${BASE_IMAGE} AS builder

# Where an organisation has an index of its own. It stays in this stage.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_PROGRESS_BAR=off

# The dependencies first: they change seldom, and the layer is kept until they do.
COPY requirements/ /src/requirements/
RUN python3 -m venv /opt/supervisor \
 && /opt/supervisor/bin/pip install --require-hashes -r /src/requirements/runtime.txt

# The build backend, in an environment of its own, as the development lock pins it: a build in
# isolation would download it without looking at hashes.
RUN python3 -m venv /opt/build \
 && awk '/^[a-z]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' \
    /src/requirements/dev.txt > /opt/build/requirements.txt \
 && /opt/build/bin/pip install --require-hashes -r /opt/build/requirements.txt

COPY pyproject.toml README.md LICENSE /src/
COPY service/ /src/service/
COPY observability/ /src/observability/
# pip has nothing to do once everything is there. The bytecode is compiled now, and taken as it is
# later, since the container's file system is read-only and a start should be quick.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist /src \
 && /opt/supervisor/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/supervisor/bin/pip uninstall --quiet --yes pip setuptools \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/supervisor/lib


# --- final
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="area-supervisor" \
      org.opencontainers.image.description="Launches the jobs of Area as Docker containers when the backend asks for it over gRPC." \
      org.opencontainers.image.licenses="MIT"

# The same path as in the builder: an environment has its place written into its scripts.
COPY --from=builder /opt/supervisor /opt/supervisor

ENV PATH=/opt/supervisor/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# For the history, on a volume, which takes over its mode: any user of this container may write there.
RUN install -d -m 1777 /var/lib/area-supervisor

# A .env file may be mounted here.
WORKDIR /etc/supervisor

# It runs as root, since the Engine's socket belongs to root and to a group whose number differs
# from host to host. That gives away little: who may use the socket is root on the host anyway.
# docker-compose.yml takes away what it does not need: capabilities, new privileges, writing.

# gRPC; metrics and probes over HTTP
EXPOSE 50051 9464

# SIGTERM makes it finish what it has begun; the jobs run on.
STOPSIGNAL SIGTERM

# `liveness` is the process alone: a restart of the supervisor would not bring the Engine back.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
    CMD ["area-supervisor", "health", "--service", "liveness"]

ENTRYPOINT ["area-supervisor"]
CMD ["serve"]
