# One image for web, worker and beat; docker-compose.yml says which is which.
# Not slim: it has a C compiler.
FROM python:3.12 AS build
COPY connectors/postgres/kernels.c /tmp/kernels.c
RUN cc -std=c11 -D_DEFAULT_SOURCE -O2 -fPIC -shared -o /tmp/_kernels.so /tmp/kernels.c
COPY locks/service.lock /tmp/service.lock
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
        -r /tmp/service.lock

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin service
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
COPY --from=build /tmp/_kernels.so connectors/postgres/_kernels.so
# The settings must be complete even here, where nothing is encrypted and nothing connected to.
RUN DATABASE_URL=postgresql://nobody@localhost/none REDIS_URL=redis://localhost \
    SECRET_KEY=only-while-the-image-is-being-built WAREHOUSE_KEYS=build:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    python manage.py collectstatic --noinput
USER 10001
EXPOSE 8000
CMD ["gunicorn", "service.wsgi", "-c", "python:service.gunicorn", "-b", "0.0.0.0:8000"]
