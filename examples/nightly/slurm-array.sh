#!/bin/bash
# One suite a task, all into one history:   sbatch slurm-array.sh
# suites.txt names one suite file a line; --array must have as many tasks.
#SBATCH --job-name=asr-nightly
#SBATCH --array=0-2
#SBATCH --time=06:00:00
#SBATCH --cpus-per-task=8
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=nightly-%A-%a.log
set -u
mapfile -t suites < "${SUITES:-suites.txt}"
suite="${suites[${SLURM_ARRAY_TASK_ID:-0}]}"
asrfair nightly "$suite" --history "${HISTORY:-history}" --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --out "verdict-${SLURM_ARRAY_TASK_ID:-0}"
code=$?
# 130: the time was up; the same command resumes the night
if [ "$code" -eq 130 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
