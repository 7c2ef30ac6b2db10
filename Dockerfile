# A gateway in a container. It listens on loopback only: any other address needs authentication, which demur does not
# have yet. So run it in the host's network, where clients reach it at http://127.0.0.1:8788:
#
#   docker build -t demur .
#   docker run --network host -v demur:/data demur
#
# script/smoke runs the RUN lines word for word.

FROM python:3.13-slim AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY proxy proxy
COPY addons addons
COPY schemas schemas
RUN pip wheel --no-deps --wheel-dir dist .
RUN cp constraints.txt dist/

FROM python:3.13-slim
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /
COPY --from=wheel /src/dist dist
RUN pip install --no-cache-dir --constraint dist/constraints.txt dist/demur-*.whl
RUN mkdir -m 0700 data
RUN chown 10001:10001 data
USER 10001:10001
ENV HOME=/data DEMUR_DB=/data/demur.db
VOLUME /data
EXPOSE 8788
HEALTHCHECK CMD ["demur", "doctor", "--json"]
CMD ["demur", "up"]
