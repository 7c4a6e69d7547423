#!/usr/bin/env bash
# Measures, compares with the baseline, and exits 5 on a real regression.
#
#   BENCH      options of llmops bench (default: the demo model on llama.cpp, 4 streams, 3 repetitions)
#   FAIL_IF    conditions, one a line (default: TTFT and TPOT 10 % worse, throughput 10 % lower, any more errors)
#   BASELINE   folder of the run to compare with (default: bench-baseline); the first run becomes it
#   OUT        folder of this run (default: bench-current)
set -uo pipefail
BENCH=${BENCH:---concurrency 4 --requests 200 --repeats 3}
FAIL_IF=${FAIL_IF:-"ttft_ms.shift > +10%
tpot_ms.shift > +10%
output_tokens_per_s < -10%
error_rate > +1%"}
BASELINE=${BASELINE:-bench-baseline}
OUT=${OUT:-bench-current}

rm -rf "$OUT"
# shellcheck disable=SC2086 # BENCH is several words
llmops bench $BENCH -o "$OUT" || exit $?
llmops report export "$OUT" --format markdown >>"${GITHUB_STEP_SUMMARY:-/dev/stderr}"
if [ ! -e "$BASELINE/report.json" ]; then
  cp -r "$OUT" "$BASELINE"
  echo "no baseline yet: this run is it" >&2
  exit 0
fi
llmops report compare "$BASELINE" "$OUT" --format markdown >>"${GITHUB_STEP_SUMMARY:-/dev/stderr}"
conditions=()
while IFS= read -r line; do
  [ -n "$line" ] && conditions+=(--fail-if "$line")
done <<<"$FAIL_IF"
llmops report gate "$OUT" --baseline "$BASELINE" --junit "$OUT/gate.xml" "${conditions[@]}"
