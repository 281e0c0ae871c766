#!/bin/sh
# Fetches the Apache Kafka named in pom.xml into .kafka/lib at the root of the
# repository. Does nothing when it is there already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
lib=$root/.kafka/lib
want=$(cksum <"$here/pom.xml")

need() {
	command -v "$1" >/dev/null 2>&1 && return
	echo "kafkatest: $1 not found: the tests against a real Kafka need $2" >&2
	exit 1
}

need java "Java 17 or later, to run the broker"

# The stamp lies inside the folder, so the two come and go together.
if [ -f "$lib/.complete" ] && [ "$(cat "$lib/.complete")" = "$want" ]; then
	exit 0
fi

need mvn "Maven, to fetch the broker"

mkdir -p "$root/.kafka"
new=$(mktemp -d "$root/.kafka/fetch.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM

echo "kafkatest: fetching Apache Kafka into .kafka/lib"
if ! mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$new/lib"; then
	echo "kafkatest: mvn could not fetch Apache Kafka (see above)" >&2
	exit 1
fi
echo "$want" >"$new/lib/.complete"

# Two renames, so that a reader never sees half a folder.
if [ -e "$lib" ]; then
	mv "$lib" "$new/old"
fi
mv "$new/lib" "$lib"
