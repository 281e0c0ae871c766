#!/bin/sh
# Fetches HAProxy and nginx for the tests behind proxies: on Debian and its like, the packages and what
# they need beside what is installed, unpacked into .proxies/ at the root of the repository. Nothing is
# installed, so no service starts. Does nothing where both are on the PATH, or there already. Where
# they can't be had it says so, and fails in CI alone: elsewhere those tests are skipped.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
to=$root/.proxies
PATH=$PATH:/usr/sbin

lacking() {
	echo "proxytest: $1: the tests behind proxies need haproxy and nginx" >&2
	[ -z "${CI:-}" ] || exit 1
	exit 0
}

want=
for program in haproxy nginx; do
	command -v "$program" >/dev/null 2>&1 || want="$want $program"
done
if [ -z "$want" ] || [ "$(cat "$to/.complete" 2>/dev/null)" = "$want" ]; then
	exit 0
fi
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || lacking "no$want here, and no apt-get to fetch with"

new=$(mktemp -d "$root/.proxies.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new/packages/partial"

# Without locks, so that it takes no root.
download() {
	# shellcheck disable=SC2086 # several packages
	apt-get install -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
		-o APT::Sandbox::User=root -o Dir::Cache::archives="$new/packages" $want >/dev/null
}

echo "proxytest: fetching$want into .proxies"
# Without lists of packages, or with old ones, it fails the first time.
download 2>/dev/null || { apt-get update -qq && download; } || lacking "apt-get could not fetch$want (see above)"
for package in "$new"/packages/*.deb; do
	dpkg -x "$package" "$new/tree"
done
echo "$want" >"$new/tree/.complete"
rm -rf "$to"
mv "$new/tree" "$to"
