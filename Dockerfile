# Two images: `--target function` is what Crossplane calls, `--target service` is what claims run.
#
# Locked: wheels only, every hash checked. Without a network: put the wheels of requirements/*.txt into wheelhouse/
# (`python -m tools.wheelhouse` does) and nothing else is asked. Any builder of the last years will do, BuildKit or not.
ARG BASE_IMAGE=python:3.13.14-slim-trixie

# The environment that builds, with the build backend and the tool that writes the SBOM; no image contains it.
FROM ${BASE_IMAGE} AS build
# LICENSE is there so that the copy has something to take when there is no wheelhouse.
COPY LICENSE wheelhous[e] /wheelhouse/
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all: \
    PIP_FIND_LINKS=/wheelhouse PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=1577836800
WORKDIR /src
COPY scripts/ci/bytecode.sh scripts/ci/install.sh scripts/ci/
RUN scripts/ci/bytecode.sh /bytecode
COPY requirements/ requirements/
RUN python3 -m venv /build && scripts/ci/install.sh /build requirements/image.txt
COPY LICENSE README.md CHANGELOG.md pyproject.toml ./
COPY migrations/ migrations/
COPY function/ function/
COPY service/ service/
RUN /build/bin/hatchling build --target wheel --directory /dist

FROM build AS function-build
RUN python3 -m venv --without-pip /opt/agent-executor \
    && scripts/ci/install.sh /opt/agent-executor requirements/function.txt /dist/*.whl

FROM build AS service-build
RUN python3 -m venv --without-pip /opt/agent-executor \
    && scripts/ci/install.sh /opt/agent-executor requirements/service.txt /dist/*.whl

# What both are put on. Of the base's programs there stay Python and the shell of scripts/ci, for who breaks in to use:
# no package manager, no coreutils, no perl. `kubectl debug` brings tools to a pod.
FROM ${BASE_IMAGE} AS bare
COPY --from=build /bytecode /
RUN find -H /bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin ! -type d \
      ! -name sh ! -name dash ! -name python ! -name python3 ! -name 'python3.[0-9][0-9]' -delete

FROM bare AS function
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="function-agent-executor" \
      org.opencontainers.image.description="Crossplane composition function: from an AgentExecutor claim to its objects" \
      org.opencontainers.image.source="https://github.com/arun4infra/agent-executor" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV PATH=/opt/agent-executor/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=function-build /opt/agent-executor /opt/agent-executor
WORKDIR /app
EXPOSE 9443
USER 65532:65532
ENTRYPOINT ["function-agent-executor", "serve"]

FROM bare AS service
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="agent-executor" \
      org.opencontainers.image.description="Runs AI agents as jobs from NATS JetStream and HTTP, and loses none" \
      org.opencontainers.image.source="https://github.com/arun4infra/agent-executor" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV PATH=/opt/agent-executor/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=service-build /opt/agent-executor /opt/agent-executor
# The Deployment names scripts/ci/run-migrations.sh without a root: it is found from here.
WORKDIR /app
COPY scripts/ci/run.sh scripts/ci/run-migrations.sh scripts/ci/
EXPOSE 8080
USER 65532:65532
ENTRYPOINT ["/app/scripts/ci/run.sh"]
