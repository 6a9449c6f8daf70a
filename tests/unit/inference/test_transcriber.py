"""Files and waveforms to text: the same alone, in a batch, in another format, in chunks, from any thread."""

import json
import threading

import numpy as np
import pytest
import soundfile
import torch
from toy_encoders import write_encoder
from toy_speech import sentence, spoken, toy_recogniser

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import Chunking, OneModel, Transcriber

TEXTS = [sentence(words, seed=words) for words in (3, 5, 9, 1, 12)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    sizes = {"num_hidden_layers": 0, "conv_dim": [32] * 7, "hidden_size": 64}
    folder = write_encoder(tmp_path_factory.mktemp("no_attention"), **sizes)
    return OneModel(*toy_recogniser(str(folder)), ["en", "fr"])


@pytest.fixture
def transcriber(models):
    return Transcriber(models, "en")


def test_a_batch_gives_what_each_clip_gives_alone(transcriber):
    waves = [spoken(text) for text in TEXTS]
    together = transcriber.transcribe_batch(waves)
    assert [found.text for found in together] == TEXTS
    for wave, found in zip(waves, together, strict=True):
        (alone,) = transcriber.transcribe_batch([wave])
        assert alone.text == found.text
        assert [(word.start, word.end) for word in alone.words] == [
            (word.start, word.end) for word in found.words
        ]
        assert found.duration == len(wave) / 16000


def test_long_and_short_clips_share_a_batch(models):
    cutting = Transcriber(models, "en", Chunking(1.5, 0.7))
    waves = [spoken(text) for text in TEXTS]
    assert [found.text for found in cutting.transcribe_batch(waves)] == TEXTS


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_files_of_other_rates_and_channels_give_the_text(transcriber, tmp_path, rate, kind):
    wave = spoken(TEXTS[2]).numpy()
    times = np.arange(round(len(wave) * rate / 16000)) / rate
    resampled = np.interp(times, np.arange(len(wave)) / 16000, wave) if rate != 16000 else wave
    path = tmp_path / f"clip.{kind}"
    soundfile.write(path, np.stack([resampled, resampled], 1), rate)
    assert transcriber.transcribe_file(path).text == TEXTS[2]


def test_a_file_gives_what_its_samples_give(transcriber, models, tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, spoken(TEXTS[4]).numpy(), 16000, subtype="FLOAT")
    (wanted,) = transcriber.transcribe_batch([spoken(TEXTS[4])])
    assert transcriber.transcribe_file(path) == wanted
    heard = []
    chunked = Transcriber(models, "en", Chunking(1.5, 0.7)).transcribe_file(path, heard=heard.append)
    assert (chunked.text, chunked.duration) == (wanted.text, wanted.duration)
    assert len(heard) > 1


def test_word_times_are_where_the_words_are(transcriber):
    (found,) = transcriber.transcribe_batch([spoken(TEXTS[2])])
    for number, word in enumerate(found.words):
        start = 3 * 0.12 * number  # two letters and a space of 0.12 s each
        assert start - 0.02 <= word.start < word.end <= start + 0.24 + 0.06
        assert 0.5 < word.confidence <= 1


def test_other_sampling_rates_are_resampled(transcriber):
    wave = spoken(TEXTS[1]).numpy()
    slow = torch.from_numpy(np.interp(np.arange(len(wave) // 2) / 8000, np.arange(len(wave)) / 16000, wave))
    (found,) = transcriber.transcribe_batch([slow], rate=8000)
    assert abs(found.duration - len(wave) / 16000) < 1e-3
    assert found.text == TEXTS[1]


def test_clips_too_short_for_a_frame_are_empty(transcriber):
    found = transcriber.transcribe_batch([torch.zeros(0), torch.zeros(100)])
    assert [(one.text, one.confidence) for one in found] == [("", None), ("", None)]
    assert transcriber.transcribe_batch([]) == []


def test_languages_are_chosen_and_checked(models):
    transcriber = Transcriber(models)
    assert (transcriber.languages, transcriber.language) == (["en", "fr"], None)
    with pytest.raises(UserError, match="several languages: choose one of en, fr"):
        transcriber.transcribe_batch([torch.zeros(900)])
    transcriber.set_language("fr")
    assert transcriber.transcribe_batch([torch.zeros(900)])[0].language == "fr"
    mixed = transcriber.transcribe_batch([spoken(TEXTS[0]), spoken(TEXTS[1])], ["en", "fr"])
    assert [(one.language, one.text) for one in mixed] == [("en", TEXTS[0]), ("fr", TEXTS[1])]
    for wrong in (lambda: transcriber.set_language("de"), lambda: Transcriber(models, "de")):
        with pytest.raises(UserError, match="no language 'de': choose one of en, fr"):
            wrong()


def test_the_only_language_needs_no_choice(models):
    alone = Transcriber(OneModel(models.recogniser, models.tokenizer, ["ckb"]))
    assert alone.language == "ckb"


@pytest.mark.parametrize(
    ("waves", "languages", "reason"),
    [
        ([torch.zeros(2, 900)], None, "clip 0 is not one channel"),
        ([torch.zeros(900), np.zeros(900, np.int16)], None, "clip 1 is not one channel"),
        ([torch.full((900,), torch.inf)], None, "clip 0 is not one channel"),
        ([torch.zeros(900)], ["en", "fr"], "1 clips, 2 languages"),
        ([torch.zeros(900)], "xx", "no language 'xx'"),
    ],
)
def test_senseless_requests_are_refused(transcriber, waves, languages, reason):
    with pytest.raises(UserError, match=reason):
        transcriber.transcribe_batch(waves, languages)


def test_threads_get_their_own_answers(transcriber, tmp_path):
    found = {}

    def ask(index):
        found[index] = transcriber.transcribe_batch([spoken(TEXTS[index])])[0].text

    threads = [threading.Thread(target=ask, args=[index]) for index in range(len(TEXTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict(enumerate(TEXTS))


def test_a_transcript_is_plain_data(transcriber):
    (found,) = transcriber.transcribe_batch([spoken(TEXTS[0])])
    again = json.loads(json.dumps(found.as_dict()))
    assert again["text"] == TEXTS[0]
    assert [word["text"] for word in again["words"]] == TEXTS[0].split()
