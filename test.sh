#!/usr/bin/env bash
# Install what is needed, then lint and run all tests; arguments go to pytest (./test.sh -m "not slow").
set -euo pipefail
cd "$(dirname "$0")"
source scripts/environment.sh
set_up

export OMP_NUM_THREADS=1 # many tiny computations: threads of one wait for those of another

ruff check .
ruff format --check .
python -m s3_speechbrain.report check
# a process per core, each with whole files of tests: these share what they train
python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile "$@"
