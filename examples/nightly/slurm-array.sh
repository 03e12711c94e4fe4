#!/bin/bash
# One suite a task, all into one history:   sbatch slurm-array.sh
# suites.txt names one suite file a line; --array must have as many tasks. A task whose time is up puts itself back into
# the queue, and its night is resumed. Each task leaves its verdict in verdict-TASK/ and ends with the code of asrfair.
#SBATCH --job-name=asr-nightly
#SBATCH --array=0-2
#SBATCH --time=06:00:00
#SBATCH --cpus-per-task=8
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=nightly-%A-%a.log
set -u
task="${SLURM_ARRAY_TASK_ID:-0}"
mapfile -t suites < "${SUITES:-suites.txt}"
asrfair nightly "${suites[$task]}" --history "${HISTORY:-history}" --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --out "verdict-$task" &
night=$!
stopped=0
trap 'stopped=1; kill -TERM "$night"' TERM # Slurm tells this shell only: pass it on
wait "$night"
code=$?
if [ "$stopped" -eq 1 ]; then
    wait "$night"
    code=$?
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$task"
fi
exit "$code"
