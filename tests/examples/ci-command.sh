#!/usr/bin/env bash
# One run of CI for the next planned sprint of a specification, with the specpost command.
#
#   SPECPOST_DATABASE__URL=postgresql://ci:...@db.example.org/postgres SPECPOST_STORAGE__URL=s3://automation \
#     GITHUB_RUN_ID=77 ci-command.sh SPEC_ID FOLDER
#
# The login is one that "specpost migrate --create-login ci --role ci_runner" made; the bucket's endpoint and keys are
# SPECPOST_STORAGE__... too. FOLDER is where the tests put their reports. Exit status: 0 when the gate is passed or
# nothing is planned, 1 when the gate is not passed, 2 when there was trouble.
set -euo pipefail
spec=$1
cd "$2"

next=$(specpost ci next "$spec")
[ -n "$next" ] || { echo 'nothing is planned'; exit 0; }
run=$(specpost ci start "${next%% *}")

# Build and test here.

specpost ci artifact "$run" junit junit.xml
specpost ci event "$run" ARTIFACTS_UPLOADED 'the tests'
specpost ci finish "$run" --junit junit.xml --coverage coverage.xml \
  --e2e playwright.json --lighthouse lighthouse.json --lint-pass --type-check
