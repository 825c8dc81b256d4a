#!/usr/bin/env bash
# Installs the independent OCFL validator (ocfl-py) into .tools/ocfl, an environment of its own: it pins a botocore
# that does not get on with ours. Does nothing if it is there in the locked version.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=requirements/ocfl.lock
home=.tools/ocfl
mark="$home/lock.sha256"
digest="$(sha256sum "$lock" | cut -d' ' -f1)"

if [[ -f "$mark" && "$(<"$mark")" == "$digest" ]]; then
    exit 0
fi
python="${PYTHON:-.venv/bin/python}"
"$python" -m venv --clear "$home"
"$home/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$lock"
printf '%s\n' "$digest" > "$mark"
