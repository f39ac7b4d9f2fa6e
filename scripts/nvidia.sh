#!/usr/bin/env bash
# Correctness and speed on an NVIDIA GPU through Vulkan: the conformance tests and the golden files on it, then every suite
# of innerloop bench, and some of them beside pure Go in turns. Writes docs/benchmarks-nvidia.md and .json. Without such a
# GPU it says so and ends with exit code 1.
#
#   scripts/nvidia.sh
#   SECONDS_A_SUITE=3 ROUNDS=3 OUT=/some/folder scripts/nvidia.sh     shorter, written elsewhere
#   ADAPTER=llvmpipe OUT=/some/folder scripts/nvidia.sh               another adapter, by a part of its name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${SECONDS_A_SUITE:-10} rounds=${ROUNDS:-5} adapter=${ADAPTER:-NVIDIA} out=${OUT:-docs}
md=$out/benchmarks-nvidia.md json=$out/benchmarks-nvidia.json
[ -d "$out" ] || { echo "nvidia.sh: OUT=$out: no such folder" >&2; exit 1; }
say() { echo "== $*" >&2; }
fail() { echo "nvidia.sh: $*" >&2; exit 1; }

command -v go >/dev/null || fail "Go is missing: https://go.dev/dl"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say 'building innerloop'
go build -o "$work/innerloop" ./cmd/innerloop

# The driver's own description, wherever the distribution puts it, keeps software adapters out of the tests.
if [ -z "${VK_DRIVER_FILES:-}" ]; then
  for f in /usr/share/vulkan/icd.d/nvidia_icd*.json /etc/vulkan/icd.d/nvidia_icd*.json /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd*.json; do
    [ ! -e "$f" ] || { export VK_DRIVER_FILES=$f; break; }
  done
fi

say "looking for $adapter"
"$work/innerloop" doctor --json >"$work/doctor.json" || doctor=failed
name=$(sed -n 's/^ *"name": "\(.*\)",$/\1/p' "$work/doctor.json" | grep -iF -- "$adapter" | head -n 1 || true)
if [ -z "$name" ]; then
  echo "nvidia.sh: no device is called $adapter; there are:" >&2
  sed -n 's/^ *"name": "\(.*\)",$/  \1/p' "$work/doctor.json" >&2
  exit 1
fi
[ -z "${doctor:-}" ] || { "$work/innerloop" doctor >&2 || true; fail "$name: innerloop doctor finds it wrong"; }
"$work/innerloop" bench roofline --device gpu --seconds 0 --copy-mib 1 --json | grep '"device": ' | grep -qiF -- "$adapter" ||
  fail "the tests would take another GPU than $name: name its driver's file in VK_DRIVER_FILES"

# tests RUN PACKAGE...: on the GPU; they fail where they would be skipped for want of one.
tests() {
  local run=$1
  shift
  say "go test -run $run $*"
  INNERLOOP_REQUIRE_GPU=1 go test -count=1 -p 1 -timeout 30m -skip Browser -run "$run" -v "$@" >"$work/tests.log" 2>&1 || { grep -v '^ *--- PASS\|^=== ' "$work/tests.log" | tail -n 40 >&2; fail "$run: tests fail on $name"; }
  echo "| \`go test -run $run $*\` | $(grep -c '^ *--- PASS' "$work/tests.log") pass, $(grep -c '^ *--- SKIP' "$work/tests.log" || true) skipped |" >>"$work/tests.md"
}
tests Conformance ./gpu
tests Golden ./op ./ttt ./model

say "every suite, $seconds s each"
"$work/innerloop" bench all --device "$adapter" --seconds "$seconds" --json >"$json"
"$work/innerloop" bench all --device "$adapter" --seconds "$seconds" >"$work/suites.txt"
for suite in matmul scan step decode; do
  say "$suite beside pure Go, $rounds rounds"
  "$work/innerloop" bench compare --suite "$suite" --device "$adapter" --against cpu --rounds "$rounds" --seconds "$((seconds / 5 + 1))" >"$work/compare-$suite.txt"
done

{
  echo "# $adapter"
  echo
  echo "$name. Written by \`scripts/nvidia.sh\`; the numbers of every suite are in [benchmarks-nvidia.json](benchmarks-nvidia.json)."
  echo
  if command -v nvidia-smi >/dev/null; then
    echo "Driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1), clocks $(nvidia-smi --query-gpu=clocks.max.sm,clocks.max.mem --format=csv,noheader | head -n 1) at most; version $(git rev-parse --short HEAD)."
    echo
  fi
  echo '| tests | outcome |'
  echo '|---|---|'
  cat "$work/tests.md"
  echo
  echo 'Beside pure Go on the same machine (first / second: how many times as fast the GPU is):'
  for suite in matmul scan step decode; do
    echo
    echo "## $suite"
    echo
    echo '```'
    cat "$work/compare-$suite.txt"
    echo '```'
  done
  echo
  echo '## Every suite, with shares of the roofline'
  echo
  echo '```'
  cat "$work/suites.txt"
  echo '```'
} >"$md"
say "wrote $md and $json"
