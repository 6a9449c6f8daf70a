"""Add a language to a mask bank: train its mask and head, write its file, and leave all others as they are.

Backbone and settings are those of the bank's languages; options given on the command line override them.

Run ``python add_language.py --bank PATH/bank --data_folder PATH/cv-corpus --language de``.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from s3_speechbrain.brains import mask_language, say_if_finished, start
from s3_speechbrain.brains.addition import add_to_bank, as_options, check_backbone, open_bank, settings_of
from s3_speechbrain.brains.experiment import read_settings
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.inference.tour import bank_table

SETTINGS = Path(__file__).parent / "hparams" / "add_language.yaml"


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the language, add it, print the bank's table."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or not given[0].endswith(".yaml"):
        given.insert(0, str(SETTINGS))
    asked = read_settings(given)
    bank = open_bank(asked["bank"], asked["language"], Path(asked["output_folder"]))
    shared, differing = settings_of(bank)
    if differing and if_main_process():
        print(
            f"the bank's languages differ in {', '.join(differing)}: taking what {given[0]} or the command says"
        )
    # Of an option given twice the last counts: what the user typed stands behind what the bank has.
    hparams, run_opts = start([given[0], *as_options(shared), *given[1:]])
    check_backbone(bank, hparams["encoder"]["build"])
    if not say_if_finished(hparams):
        mask_language(hparams, run_opts)
    kept = add_to_bank(bank, Path(hparams["output_folder"]), hparams["language"])
    if if_main_process():
        print(
            f"added {hparams['language']}; the other {kept} files kept their SHA-256\n\n{bank_table(bank.folder)}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
