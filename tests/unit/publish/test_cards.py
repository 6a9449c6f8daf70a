"""What a card says follows from the metrics; clips go along only where they may."""

import pytest
from huggingface_hub import ModelCard

from s3_speechbrain.errors import UserError
from s3_speechbrain.publish import find_source, publish
from s3_speechbrain.publish.card import CardFacts, front_matter, make_card
from s3_speechbrain.publish.examples import add_example, attribution
from s3_speechbrain.publish.source import Clip


def facts(metrics, **changes):
    """Return the facts of a card."""
    usual = {
        "title": "me/toy",
        "kind": "A toy.",
        "licence": "apache-2.0",
        "backbone": "builtin",
        "revision": None,
    }
    usual |= {"library": "speechbrain", "tags": ["wav2vec2"], "usage": []}
    return CardFacts(**{**usual, "metrics": metrics, **changes})


def test_the_front_matter_is_what_the_hub_parses(make_run):
    runs = {"fr": make_run(), "it": make_run(language="it", test__WER=29.876)}
    runs["fr"]["extra_tests"] = {"other": {"CER": 40.0, "WER": 50.0}}
    data = ModelCard(make_card(facts(runs))).data
    assert data.language == ["fr", "it"]
    assert (data.license, data.pipeline_tag, data.library_name) == (
        "apache-2.0",
        "automatic-speech-recognition",
        "speechbrain",
    )
    assert data.base_model == "openai/whisper-base"  # whose student the built-in backbone is
    found = {(r.dataset_config, r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results}
    assert found == {
        **{("fr", "test", "cer"): 13.0, ("fr", "test", "wer"): 31.0},
        **{("fr", "other", "cer"): 40.0, ("fr", "other", "wer"): 50.0},
        **{("it", "test", "cer"): 13.0, ("it", "test", "wer"): 29.88},
    }


@pytest.mark.parametrize(
    ("backbone", "base"),
    [("facebook/wav2vec2-base", "facebook/wav2vec2-base"), ("xlsr-here", None), ("PATH/xlsr", None)],
)
def test_a_backbone_is_a_base_model_where_the_hub_has_it(make_run, backbone, base):
    text = front_matter(facts({"fr": make_run()}, backbone=backbone))
    assert (f"base_model: {base}" in text) == (base is not None)
    assert ("base_model" in text) == (base is not None)


def test_the_prompts_corpus_is_credited_under_its_licence_of_each_language(make_run):
    text = make_card(facts({"fr": make_run(), "ru": make_run(language="ru")}))
    assert "June Wallack" in text
    assert "CC BY-SA 3.0" in text
    assert "Maxim Topal" in text
    assert "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)" in text
    assert attribution("common_voice", "fr") is None


def test_a_clip_is_passed_on_only_if_its_corpus_shows_its_licence(tmp_path):
    folder, clips = tmp_path / "published", tmp_path / "fr" / "clips"
    folder.mkdir()
    clips.mkdir(parents=True)
    (clips / "a.flac").write_bytes(b"sound")
    found = [Clip("a", clips / "a.flac", "salut tout le monde", "salu")]
    assert add_example(folder, "prompts", "fr", found) is None  # the name alone proves nothing
    (tmp_path / "fr" / "ATTRIBUTION.md").write_text("Asterisk core sounds")
    assert add_example(folder, "common_voice", "fr", found) is None
    assert add_example(folder, "prompts", "tr", found) is None
    assert add_example(folder, "prompts", "fr", found).file == "example-fr.flac"
    assert (folder / "example-fr.flac").read_bytes() == b"sound"


def test_what_cannot_be_published_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        find_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no model and no mask bank"):
        publish(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match="save_model True"):
        publish(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all of it")
    (tmp_path / "empty" / "bank").mkdir()
    (tmp_path / "empty" / "bank" / "bank.json").write_text("{}")
    with pytest.raises(UserError, match=r"bank\.json is refused"):
        publish(tmp_path / "empty", tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").exists()
