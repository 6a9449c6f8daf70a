"""Fill the cross-lingual matrix: the mask of a source language, finetuning on a target language (PARP, Section 4).

    python cross_lingual.py hparams/demo.yaml --data_folder PATH/prompts --languages "[en, fr]" --sparsity 0.5

A source's mask is that of its finetuned model (OMP). In each cell it is kept as it is (fixed), or PARP begins with it
(adjusted). Every run is one of train.py, in a folder of its own; a finished one is left alone, a killed one goes on.
Any option of train.py applies to all runs.

Several processes, here or as a job array of a cluster, share the work; masks come first:

    python cross_lingual.py ... --stage masks --shard 1/2 & python cross_lingual.py ... --stage masks --shard 2/2; wait
    python cross_lingual.py ... --stage cells --shard 1/2 & python cross_lingual.py ... --stage cells --shard 2/2; wait
    sbatch --array=1-10 --wrap 'python cross_lingual.py ... --stage masks --shard $SLURM_ARRAY_TASK_ID/10'
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from s3_speechbrain.brains.transfer import Cell, parse, plan_matrix, run_matrix, start_process
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.report import collect
from s3_speechbrain.report.cross_lingual import matrices_of, text_of


@tell_user_errors
def main(argv: Sequence[str] | None = None, start: Callable[[Cell], int] | None = None) -> int:
    """Run what is missing, print the matrix so far; returns 1 if something is still missing."""
    given, others = parse(argv, __doc__)
    matrix = plan_matrix(given, others)
    missing = run_matrix(matrix, given.stage, given.shard, start or start_process(Path(__file__).parent))
    for found in matrices_of(collect(matrix.folder) if matrix.folder.is_dir() else []):
        print(text_of(found))
    for name, reason in missing.items():
        print(f"missing {name}: {reason}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
