#!/usr/bin/env bash
# Writes the lock files: every package with its hashes, for all platforms, without any download address.
set -euo pipefail
cd "$(dirname "$0")/.."
compile=(.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate)
"${compile[@]}" pyproject.toml --output-file requirements/runtime.lock "$@"
"${compile[@]}" pyproject.toml --group dev --constraint requirements/runtime.lock --output-file requirements/dev.lock "$@"
"${compile[@]}" requirements/build.in --output-file requirements/build.lock "$@"
"${compile[@]}" requirements/ocfl.in --output-file requirements/ocfl.lock "$@"
if grep -nE 'https?://' requirements/*.lock; then
    echo "A lock file holds a download address." >&2
    exit 1
fi
