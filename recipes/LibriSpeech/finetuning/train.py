"""The recipe of CommonVoice/finetuning on LibriSpeech: only the YAML files differ.

Run ``python train.py hparams/1h.yaml --data_folder PATH``.
"""

import runpy
from pathlib import Path

if __name__ == "__main__":
    recipe = Path(__file__).resolve().parents[2] / "CommonVoice" / "finetuning" / "train.py"
    runpy.run_path(str(recipe), run_name="__main__")
