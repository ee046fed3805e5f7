# SPDX-License-Identifier: Apache-2.0
# The half without torch: tag, detect, embed, enrol, scan, serve.
#
#   docker build --tag auricle .
#   docker run --rm --publish 8765:8765 --env AURICLE_TOKEN=$(openssl rand -hex 24) auricle
#   docker run --rm --volume "$PWD:/data" auricle detect night.flac
FROM python:3.13-slim AS build
WORKDIR /source
RUN python -m venv /opt/auricle
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE NOTICE ./
COPY src src
RUN /opt/auricle/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve,codecs]"

FROM python:3.13-slim
# A user without rights: /data is where recordings and models are, wherever they come from.
RUN useradd --uid 10001 --create-home auricle && install --directory --owner auricle /data
COPY --from=build /opt/auricle /opt/auricle
ENV PATH=/opt/auricle/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
EXPOSE 8765
STOPSIGNAL SIGTERM
# 503 while models are loaded, and while the server finishes what it has begun.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=2)"]
ENTRYPOINT ["auricle"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8765"]
