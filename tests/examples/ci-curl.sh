#!/usr/bin/env bash
# One run of CI for the next planned sprint of a specification, with nothing but curl.
#
#   API_URL=https://abcdefghij.supabase.co/rest/v1 API_TOKEN=... CI_RUN_ID=77 ATTEMPT=1 \
#     ci-curl.sh SPEC_ID SUMMARY.json [REPORT.xml...]
#
# API_TOKEN is a JSON Web Token with the role ci_runner. Exit status: 0 when the gate is passed or nothing is planned,
# 1 when the gate is not passed, 2 when there was trouble.
set -euo pipefail
spec=$1 summary=$2
shift 2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# The token goes into a file, for every user of a machine may see the arguments of its programs.
printf '%s\n' "Authorization: Bearer $API_TOKEN" 'Content-Type: application/json' > "$work/headers"
call() { # FUNCTION: its arguments come by standard input, as JSON; its answer goes out, or what is wrong, and 2
  curl --silent --show-error --fail-with-body --max-time 60 --header @"$work/headers" --data-binary @- \
    --output "$work/answer" "$API_URL/rpc/$1" || { cat "$work/answer" >&2; exit 2; }
  cat "$work/answer"
}
id() { sed -E 's/.*"id": ?"([^"]+)".*/\1/'; }

sprint=$(printf '{"spec_id": "%s"}' "$spec" | call 'next_sprint?select=id' | id)
[ "$sprint" != '[]' ] || { echo 'nothing is planned'; exit 0; }
run=$(printf '{"sprint_id": "%s", "ci_run_id": "%s", "attempt": %d}' "$sprint" "$CI_RUN_ID" "$ATTEMPT" |
  call 'start_run?select=id' | id)

# Build and test here, and upload the reports.
for report in "$@"; do
  printf '{"run_id": "%s", "kind": "junit", "storage_path": "%s", "size": %d}' \
    "$run" "reports/$run/junit/${report##*/}" "$(wc -c < "$report")" | call record_artifact > /dev/null
done
printf '{"run_id": "%s", "phase": "ARTIFACTS_UPLOADED", "message": "%d files"}' "$run" $# | call log_event > /dev/null

verdict=$(printf '{"run_id": "%s", "summary": %s}' "$run" "$(cat "$summary")" | call finish_run)
printf '%s\n' "$verdict"
grep -qE '"result": ?"PASSED"' <<< "$verdict"
