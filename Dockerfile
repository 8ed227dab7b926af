# PostgreSQL with lbrec, on the official image, for x86-64 and ARM64:
#
#	docker build -t postgres-lbrec .
#	docker run -e POSTGRES_PASSWORD=secret -p 5432:5432 postgres-lbrec
#
# test/docker.sh runs these steps without Docker.
FROM postgres:17-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential postgresql-server-dev-$PG_MAJOR libarchive-dev libsimdjson-dev libpq-dev uuid-dev
COPY . /lbrec
RUN make -C /lbrec -s -j2 PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config && make -C /lbrec -s install DESTDIR=/installed PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config

FROM postgres:17-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends libarchive13 libsimdjson14 libuuid1 libpq5 libopenblas0-pthread && rm -rf /var/lib/apt/lists/*
COPY --from=build /installed /
