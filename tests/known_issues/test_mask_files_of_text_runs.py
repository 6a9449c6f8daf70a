"""The text recipe took any masks of another run: of another encoder or sparsity, in place of a method's own."""

import pytest
import torch
from recipe_tools import RECIPES, load_recipe
from text_corpus import write_text_encoder, write_texts

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import foreign_masks, magnitude_masks, prunable, save_masks
from s3_speechbrain.text import load_text_encoder

RECIPE = "Text/parp"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    return write_text_encoder(folder / "tiny"), write_texts(folder / "data")


@pytest.fixture
def tell(tiny, tmp_path, capsys):
    """Start a run that begins with masks of a sparsity, and return what it says."""
    encoder, data = tiny

    def start(method, made, *options, **about):
        masks = magnitude_masks(prunable(load_text_encoder(str(encoder))[0]), made)
        file = save_masks(tmp_path / "mask.safetensors", masks, {"backbone": "PATH/tiny", **about})
        arguments = (f"--data_folder={data}", f"--source={encoder}", f"--output_folder={tmp_path / 'run'}")
        yaml = RECIPES / RECIPE / "hparams" / "demo.yaml"
        with pytest.raises(SystemExit):
            load_recipe(RECIPE).main(
                [str(yaml), *arguments, f"--method={method}", f"--mask_file={file}", *options]
            )
        return capsys.readouterr().err.splitlines()[-1]

    return start


@pytest.mark.parametrize("method", ["foreign", "parp"])
def test_masks_of_another_sparsity_backbone_or_pruned_set_are_refused(tell, method):
    assert "removes 0.2 of the weights, not 0.5" in tell(method, 0.2)
    assert "of the backbone PATH/other, this run of PATH/tiny" in tell(method, 0.5, backbone="PATH/other")
    assert "no parameter in this encoder" in tell(method, 0.5, "--biases=False")


def test_parp_p_begins_at_its_first_sparsity(tell):
    assert "removes 0.5 of the weights, not 0.3" in tell("parp_p", 0.5, "--start_sparsity=0.3")


@pytest.mark.parametrize("method", ["dense", "rp_uniform", "mpi", "omp"])
def test_methods_that_make_their_own_masks_refuse_a_file(tell, method):
    assert f"method {method} takes no mask_file: leave it out" in tell(method, 0.5)


def test_masks_that_fit_come_with_what_their_file_says(tmp_path):
    weights = {"a.weight": torch.randn(20, 10)}
    masks = magnitude_masks(weights, 0.5)
    about = {"method": "omp", "task": "tweets", "backbone": "minilm", "machine": "mine"}
    path = save_masks(tmp_path / "mask.safetensors", masks, about)
    found, origin = foreign_masks(path, weights, 0.5, "minilm")
    assert torch.equal(found["a.weight"], masks["a.weight"])
    assert origin == {"method": "omp", "task": "tweets"}
    with pytest.raises(UserError, match="of the backbone minilm"):
        foreign_masks(path, weights, 0.5, "minilm-random")
