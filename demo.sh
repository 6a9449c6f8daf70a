#!/usr/bin/env bash
# From a bare machine to five languages as masks over one frozen backbone: table, plots, transcripts.
# Stop it at any time; started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")"
source scripts/environment.sh
set_up

echo "== Fetching real speech: five languages, about 55 MB"
python recipes/CommonVoice/prepare_prompts.py --save_folder data/prompts

echo "== Finetuning a mask per language, on ten minutes of speech each; a bank of all; one clip of each language"
(cd recipes/CommonVoice/multilingual \
    && python train.py hparams/demo.yaml --data_folder ../../../data/prompts --output_folder ../../../results/demo)

echo "== Results"
python -m s3_speechbrain.report demo results/demo
