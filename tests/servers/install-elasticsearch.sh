#!/usr/bin/env bash
# Puts Elasticsearch for the tests into .tools/: the small distribution that its makers publish for integration tests.
# Quick when it is there already. Needs Maven to fetch it and Java 17 or later to run it.
set -euo pipefail

version=8.19.21
sha256=215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a
tools="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.tools"
archive="$tools/elasticsearch-$version.zip"

is_whole() {
    [ -f "$archive" ] && echo "$sha256  $archive" | sha256sum --check --status
}

if is_whole; then
    exit 0
fi
for program in mvn java; do
    if ! command -v "$program" >/dev/null; then
        echo "install-elasticsearch: '$program' is missing; install maven and openjdk-17-jre-headless first." >&2
        exit 2
    fi
done

mkdir -p "$tools"
rm -f "$archive"
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact="org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip" \
    -DoutputDirectory="$tools"

if ! is_whole; then
    echo "install-elasticsearch: $archive does not have the SHA-256 it should; it was not kept." >&2
    rm -f "$archive"
    exit 1
fi
