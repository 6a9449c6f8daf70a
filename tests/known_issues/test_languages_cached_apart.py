"""Where only some languages fitted into the cache, batches of several languages could not be put together."""

from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.brains.model import cache_size_mb
from s3_speechbrain.brains.multilingual import MultilingualBrain
from s3_speechbrain.brains.updates import CACHE_DTYPES

RECIPE = "CommonVoice/parp"


def test_all_of_them_are_cached_or_none(tiny_encoder, tmp_path, monkeypatch):
    write_corpus(tmp_path, "en")
    write_corpus(tmp_path, "fr", ("la", "le", "lu", "ma", "me", "mu", "no", "nu"))
    found = []
    original = MultilingualBrain.clips

    def clips(brain, split):
        sets = [corpus.clips[split] for corpus in brain.corpora.values()]
        sizes = [
            cache_size_mb(brain.recogniser, each, CACHE_DTYPES[brain.hparams.cache_dtype]) for each in sets
        ]
        brain.hparams.cache_limit_mb = 1.1 * max(sizes)  # each fits, both together do not
        made = original(brain, split)
        found.append([each.stage for each in sets])
        return made

    monkeypatch.setattr(MultilingualBrain, "clips", clips)
    load_recipe(RECIPE, "joint.py").main(
        [
            str(RECIPES / RECIPE / "hparams" / "joint.yaml"),
            *(f"--data_folder={tmp_path}", f"--source={tiny_encoder}", f"--output_folder={tmp_path / 'run'}"),
            *("--languages=[en, fr]", "--updates=2", "--valid_every=2", "--interval=2", "--batch_seconds=6"),
            *("--sparsity=0.5", "--noprogressbar"),
        ]
    )
    assert found == [["wave", "wave"], ["wave", "wave"]]
