# The service as one image: about 745 MB beside its base, of which 180 MB are LLVM, without which pyod does not import.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini=0.19.0-1* \
 && rm -rf /var/lib/apt/lists/*
# The base's own pip installs into it, so that it needs none.
RUN python -m venv --without-pip /opt/venv
# Alone, so that a change of the code does not install all requirements again.
COPY requirements.txt .
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --requirement requirements.txt
COPY . .
# What libraries ship to test themselves is 60 MB that nothing here imports.
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps . \
 && find /opt/venv/lib -type d -name tests -prune -exec rm -rf {} +

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="petrosa-data-manager" \
      org.opencontainers.image.description="Market data for crypto futures, stored exactly once, audited and repaired" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN groupadd --gid 1000 app \
 && useradd --uid 1000 --gid app --no-create-home --home-dir /data app \
 && install --directory --owner=app --group=app /data
COPY --from=build /usr/bin/tini /usr/bin/tini
COPY --from=build /opt/venv /opt/venv
# All that is ever written is below /data, which a volume hides: so nothing there can be counted on to exist, and
# temporary files go to the folder itself. matplotlib (which pyod imports) and numba make theirs.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/data \
    DATA_DIR=/data \
    TMPDIR=/data \
    MPLCONFIGDIR=/data/cache/matplotlib \
    NUMBA_CACHE_DIR=/data/cache/numba \
    THESPLOG_FILE=/data/thespian.log \
    API_PORT=8000 \
    METRICS_PORT=9090
USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 8000 9090
# urlopen raises for an answer of 400 and above, and then Python exits with 1.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"API_PORT\"]}/health/liveness', timeout=4)"]
# The service buries its own orphans. But the kernel keeps from process 1 every signal that it does not handle: without
# an init, SIGTERM would not end a command that has no handler (migrate), nor the service before it has one.
ENTRYPOINT ["tini", "--", "data-manager"]
CMD ["run"]
