#!/bin/sh
# Run once by PostgreSQL's image, when the database is made: Grafana's user. `remora migrate` lets it read the views, and
# no table.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set password="$READER_PASSWORD" <<'SQL'
CREATE ROLE reader LOGIN PASSWORD :'password';
ALTER ROLE reader SET default_transaction_read_only = on;
SQL
