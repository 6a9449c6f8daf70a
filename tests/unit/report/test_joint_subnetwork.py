"""The joint subnetwork's table, by hand."""

from s3_speechbrain.report.joint_subnetwork import NOTHING, joint_subnetwork
from s3_speechbrain.report.main_table import LANGUAGES
from s3_speechbrain.report.runs import Evidence


def test_pooled_pruning_stands_beside_dense_finetuning(make_run):
    def make(method, error, sparsity=0.0, **config):
        return [
            make_run(
                method=method,
                language=language,
                test__CER=error + place,
                sparsity__masked=sparsity,
                config=config,
            )
            for place, language in enumerate(LANGUAGES)
        ]

    runs = make("dense", 20.0) + make("dense_all", 22.0, languages=list(LANGUAGES))
    runs += make("baseline_parp_joint", 24.0, 0.5)
    runs += make("baseline_parp_joint", 30.0, 0.9)[:1]
    text = joint_subnetwork(Evidence(tuple(runs), {}))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:2] == "| "
    ]
    assert rows[0] == ["training", "sparsity", *LANGUAGES, "mean"]
    assert [row[-1] for row in rows[2:]] == ["22.00", "24.00", "26.00", ""]
    assert rows[4] == [
        "PARP, one subnetwork for all",
        "0.50",
        "24.00",
        "25.00",
        "26.00",
        "27.00",
        "28.00",
        "26.00",
    ]
    assert rows[5][:4] == ["PARP, one subnetwork for all", "0.90", "30.00", ""]
    assert joint_subnetwork(Evidence(tuple(runs[:5]), {})) == NOTHING
