ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN python -m venv /opt/venv
# Alone, so that a change of the code does not install all requirements again.
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir --requirement requirements.txt
COPY . .
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 1000 app \
 && useradd --uid 1000 --gid app --no-create-home --home-dir /data app \
 && install --directory --owner=app --group=app /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    DATA_DIR=/data \
    API_PORT=8000 \
    METRICS_PORT=9090
USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 8000 9090
# urlopen raises for an answer of 400 and above, and then Python exits with 1.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"API_PORT\"]}/health/liveness', timeout=4)"]
ENTRYPOINT ["data-manager"]
CMD ["run"]
