# Two images out of one file:
#   docker build --target sidecar --tag remora-sidecar .     rides along in the serving pod, the base install
#   docker build --target server  --tag remora-server .      judges, alarms and shows
# Each runs as user 10001, writes only below /var/lib/remora and /tmp, and stops on SIGTERM.

FROM python:3.11-slim-bookworm AS base
# One environment, at the same place while it is built and while it runs.
ENV PATH=/opt/remora/bin:$PATH PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

FROM base AS runtime
RUN groupadd --system --gid 10001 remora \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/remora --shell /usr/sbin/nologin remora \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/remora
COPY deploy/healthcheck.py /opt/healthcheck.py
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/var/lib/remora REMORA_LISTEN=0.0.0.0:8080 REMORA_SPOOL=/var/lib/remora/spool
USER 10001
WORKDIR /var/lib/remora
VOLUME /var/lib/remora
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["remora"]

# The dependencies are a layer of their own, so that a change of Remora's code does not install them again.
FROM base AS dependencies
WORKDIR /src
RUN python -m venv /opt/remora
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > base.txt \
    && python -m pip install --no-cache-dir --constraint constraints.txt --requirement base.txt

FROM dependencies AS wheel
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM dependencies AS sidecar-environment
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir --no-deps /wheel/*.whl && python -m pip uninstall --yes pip setuptools

FROM runtime AS sidecar
COPY --from=sidecar-environment /opt/remora /opt/remora
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["python", "/opt/healthcheck.py", "/remora/healthz"]
CMD ["sidecar"]

FROM dependencies AS server-dependencies
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['server'], sep='\n')" \
        > server.txt \
    && python -m pip install --no-cache-dir --constraint constraints.txt --requirement server.txt

FROM server-dependencies AS server-environment
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir --no-deps /wheel/*.whl && python -m pip uninstall --yes pip setuptools

FROM runtime AS server
COPY --from=server-environment /opt/remora /opt/remora
ENV REMORA_REPORTS=/var/lib/remora/reports
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["python", "/opt/healthcheck.py", "/healthz"]
CMD ["server"]
