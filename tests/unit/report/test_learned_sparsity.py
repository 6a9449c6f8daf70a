"""The table of what thresholds that train have learned."""

from s3_speechbrain.report.learned_sparsity import NOTHING, kind_and_layer, learned_sparsity
from s3_speechbrain.report.runs import Evidence


def shares(first, second):
    return {
        "model.encoder.layers.0.attention.q_proj": first,
        "model.encoder.layers.0.feed_forward.intermediate_dense": 0.1,
        "model.encoder.layers.1.attention.q_proj": second,
        "model.encoder.layers.1.feed_forward.intermediate_dense": 0.3,
    }


def test_names_of_any_encoder_are_split_at_the_layer():
    assert kind_and_layer("model.encoder.layers.3.attention.k_proj") == ("attention.k_proj", 3)
    assert kind_and_layer("encoder.layers.11.fc1") == ("fc1", 11)


def test_the_mean_over_layers_and_seeds(make_run):
    runs = [
        make_run(method="mask_by_threshold", seed=1, per_layer_sparsity=shares(0.2, 0.4)),
        make_run(method="mask_by_threshold", seed=2, per_layer_sparsity=shares(0.4, 0.6)),
        make_run(method="mask", seed=1, per_layer_sparsity=shares(0.9, 0.9)),
    ]
    text = learned_sparsity(Evidence(tuple(runs), {}))
    assert (
        "| removed of | in all | runs | attention.q_proj | feed_forward.intermediate_dense | means of layers |"
        in text
    )
    # q: (0.2 + 0.4 + 0.4 + 0.6) / 4; layers: (0.2 + 0.4 + 2 * 0.1) / 4 and (0.4 + 0.6 + 2 * 0.3) / 4
    assert "| fr | 0.08 | 2 | 0.400 | 0.200 | 0.200 to 0.400 |" in text


def test_without_runs_it_says_so(make_run):
    assert learned_sparsity(Evidence((make_run(method="mask"),), {})) == NOTHING


def test_other_sparsities_have_rows_of_their_own(make_run):
    runs = [
        make_run(method="mask_by_threshold", sparsity__masked=share, per_layer_sparsity=shares(share, share))
        for share in (0.2, 0.6)
    ]
    text = learned_sparsity(Evidence(tuple(runs), {}))
    assert "| fr | 0.20 | 1 | 0.200 |" in text
    assert "| fr | 0.60 | 1 | 0.600 |" in text
