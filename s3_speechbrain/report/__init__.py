"""What a run leaves behind, and the tables, plots and pages made from it.

Every number that the project shows comes from `metrics.json` files through this package; none is typed.
"""

from s3_speechbrain.report.metrics import collect, read_metrics, write_metrics
from s3_speechbrain.report.plots import plot_curves, plot_layer_sparsity
from s3_speechbrain.report.provenance import command_line
from s3_speechbrain.report.schema import METHODS

__all__ = [
    "METHODS",
    "collect",
    "command_line",
    "plot_curves",
    "plot_layer_sparsity",
    "read_metrics",
    "write_metrics",
]
