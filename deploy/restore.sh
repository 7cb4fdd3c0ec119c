#!/usr/bin/env bash
# Makes a data folder for an append-only Redis or Valkey (7.0 or newer) from an RDB file. A server with `appendonly yes` does
# not read dump.rdb: it would start with 0 keys. It reads appendonlydir, whose base file may be an RDB file.
# https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/#append-only-file
# Usage, with the server stopped: restore.sh dump.rdb /var/lib/redis
set -euo pipefail

fail() { echo "error: $1" >&2; exit 1; }

[ $# -eq 2 ] || fail "usage: $0 RDB_FILE DATA_FOLDER"
file=$1 folder=$2
[ -f "$file" ] || fail "there is no file $file"
[ -d "$folder" ] || fail "there is no folder $folder"
[ "$(head -c 5 "$file")" = REDIS ] || [ "$(head -c 6 "$file")" = VALKEY ] || fail "$file is no RDB file"
[ ! -e "$folder/appendonlydir" ] || fail "$folder/appendonlydir is there already: stop the server, and move it away"

work=$(mktemp -d "$folder/restore.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$file" "$work/appendonly.aof.1.base.rdb"
echo "file appendonly.aof.1.base.rdb seq 1 type b" > "$work/appendonly.aof.manifest"
chmod 755 "$work"
sync
mv "$work" "$folder/appendonlydir"
echo "restored to $folder/appendonlydir: make it the server's own (chown), start it, and see that DBSIZE is not 0"
