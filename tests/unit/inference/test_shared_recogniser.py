"""One backbone answers in many languages as if each had a network of its own."""

import copy
import json
import shutil
import threading

import pytest
import torch
from bank_entries import LABELS, make_entry, random_masks, read_parts, write_parts

from s3_speechbrain.brains.errors import greedy_decode
from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import Characters, Pieces, tokenizer_record
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import SharedRecogniser
from s3_speechbrain.maskbank import MaskBank, fingerprint
from s3_speechbrain.masking import bake_, load_keep_masks_

SPARSITIES = {"fr": 0.2, "it": 0.5, "ru": 0.05}


@pytest.fixture(scope="module")
def backbone(tiny_encoder):
    """Read only."""
    return SpeechEncoder(str(tiny_encoder), freeze=True).eval()


@pytest.fixture(scope="module")
def entries(backbone):
    return {
        language: make_entry(
            backbone, language, seed, masks=random_masks(backbone, sparsity, seed, ("ffn", "attention"))
        )
        for seed, (language, sparsity) in enumerate(SPARSITIES.items())
    }


@pytest.fixture
def bank(entries, tmp_path):
    bank = MaskBank(tmp_path / "bank")
    for entry in entries.values():
        bank.add(entry)
    return bank


@pytest.fixture
def shared(bank, backbone):
    return SharedRecogniser(bank, copy.deepcopy(backbone))


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4000 + 1700 * index, generator=generator) for index in range(6)]


@pytest.fixture(scope="module")
def expected(backbone, entries, clips):
    """Transcripts of a network per language, masks baked in, one clip at a time."""
    texts = {}
    for language, entry in entries.items():
        encoder = copy.deepcopy(backbone)
        load_keep_masks_(encoder, entry.masks)
        bake_(encoder)
        head = CTCHead(labels=len(LABELS), **entry.head_options)
        head.load_state_dict(entry.head)
        tokenizer, model = Characters.from_labels(LABELS), Recogniser(encoder, head).eval()
        with torch.no_grad():
            rows = [greedy_decode(*model(clip[None], torch.ones(1)))[0] for clip in clips]
        texts[language] = [tokenizer.decode(row) for row in rows]
    assert len({tuple(rows) for rows in texts.values()}) == 3  # else a wrong language would go unnoticed
    return texts


@pytest.mark.parametrize("language", SPARSITIES)
def test_every_language_answers_as_its_own_network(shared, clips, expected, language):
    assert shared.transcribe(clips, language) == expected[language]
    assert shared.language == language


def test_mixed_requests_are_grouped_and_answered_in_order(shared, clips, expected, monkeypatch):
    languages = ["it", "fr", "it", "ru", "fr", "it"]
    shared.set_language("fr")
    switched, apply = [], shared._switch.apply
    monkeypatch.setattr(shared._switch, "apply", lambda masks: (switched.append(len(masks)), apply(masks)))
    found = shared.transcribe(clips, languages)
    assert found == [expected[language][index] for index, language in enumerate(languages)]
    assert len(switched) == 2  # fr was active: its clips came first


def test_the_active_language_costs_nothing(shared, monkeypatch):
    shared.set_language("it")
    monkeypatch.setattr(shared._switch, "apply", lambda masks: pytest.fail("weights were written"))
    shared.set_language("it")
    assert shared.language == "it"


def test_threads_get_the_answers_of_their_languages(shared, clips, expected):
    found, errors = {}, []

    def ask(language):
        try:
            for index in (0, 3):
                found[language, index] = shared.transcribe([clips[index]], language)[0]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=[language]) for language in [*SPARSITIES] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert found == {(name, index): expected[name][index] for name in SPARSITIES for index in (0, 3)}


def test_the_backbone_is_whole_after_many_switches(shared, backbone):
    generator = torch.Generator().manual_seed(0)
    for index in torch.randint(3, (1000,), generator=generator).tolist():
        shared.set_language([*SPARSITIES][index])
    shared._switch.restore()
    assert fingerprint(shared._encoder) == fingerprint(backbone)


def test_an_idle_language_takes_its_packed_size(shared, entries):
    assert shared.held_bytes("it") == 0
    shared.set_language("it")
    shared.set_language("fr")
    masks = sum(-(-mask.numel() // 8) for mask in entries["it"].masks.values())
    head = 4 * (16 + 1) * len(LABELS)
    assert shared.held_bytes("it") == masks + head


def test_only_the_wanted_languages_are_offered(bank, tiny_encoder):
    shared = SharedRecogniser.from_bank(bank.folder, source=str(tiny_encoder), languages=["ru"])
    assert shared.languages == ["ru"]
    with pytest.raises(UserError, match="no language 'fr' is loaded: choose one of ru"):
        shared.set_language("fr")
    with pytest.raises(UserError, match="no language 'xx'"):
        SharedRecogniser.from_bank(bank.folder, languages=["xx"])


def test_the_backbone_is_found_where_the_bank_says(bank, clips, expected):
    shared = SharedRecogniser.from_bank(bank.folder)
    assert shared.transcribe(clips[:1], ["it"]) == expected["it"][:1]


def test_clips_without_a_frame_are_empty_texts(shared, clips, expected):
    waves = [torch.zeros(0), clips[1], torch.zeros(100)]
    assert shared.transcribe(waves, "fr") == ["", expected["fr"][1], ""]
    assert shared.transcribe([], "fr") == shared.transcribe([], []) == []


@pytest.mark.parametrize(
    ("waves", "languages", "reason"),
    [
        ([torch.zeros(900)], ["fr", "it"], "1 clips, 2 languages"),
        ([torch.zeros(900)], "xx", "no language 'xx' is loaded"),
        ([torch.zeros(900), torch.zeros(2, 900)], "fr", "clip 1 is not one channel"),
        ([torch.full((900,), torch.nan)], "fr", "clip 0 is not one channel"),
        ([torch.zeros(900, dtype=torch.int16)], "fr", "clip 0 is not one channel"),
    ],
)
def test_requests_that_make_no_sense_are_refused_before_anything_is_computed(
    shared, waves, languages, reason
):
    with pytest.raises(UserError, match=reason):
        shared.transcribe(waves, languages)
    assert shared.language is None


def test_another_backbone_is_refused(bank, tiny_encoder):
    other = SpeechEncoder(str(tiny_encoder), pretrained=False)
    with pytest.raises(UserError, match="is not the backbone of"):
        SharedRecogniser(bank, other)


def test_a_folder_without_a_bank_is_refused(tmp_path, backbone):
    for make in (
        lambda: SharedRecogniser.from_bank(tmp_path),
        lambda: SharedRecogniser(MaskBank(tmp_path), backbone),
    ):
        with pytest.raises(UserError, match="no mask bank"):
            make()


def forge(bank, language, change):
    """Change the header of a file and sign it."""
    text, tensors = read_parts(bank.path(language))
    fields = json.loads(text)
    tensors |= change(fields) or {}
    write_parts(bank.path(language), fields, tensors)


def rename_a_layer(fields):
    fields["masks"][0][0] = "model.encoder.layers.7.attention.q_proj"


def reshape_a_layer(fields):
    fields["masks"][0][1] = fields["masks"][0][1] + [1]


def widen_a_layer(fields):
    fields["masks"][0][1][1] += 1


def mix_layers(fields):
    fields["head"]["layers"] = 2


FORGED = {
    "an unknown layer": (rename_a_layer, "use the backbone it was made for"),
    "a mask of other axes": (reshape_a_layer, "use the backbone it was made for"),
    "a mask of another size": (widen_a_layer, "use the backbone it was made for"),
    "a head of other layers": (mix_layers, "does not fit the encoder"),
    "another language": (lambda fields: fields.update(language="es"), "holds 'es', not 'fr'"),
    "another backbone": (lambda fields: fields["backbone"].update(fingerprint="0" * 64), "another backbone"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_files_are_refused_when_the_bank_is_loaded(bank, backbone, case):
    change, reason = FORGED[case]
    forge(bank, "fr", change)
    with pytest.raises(UserError, match=reason):
        SharedRecogniser(bank, copy.deepcopy(backbone))


def test_a_damaged_file_is_refused_on_first_use_and_leaves_the_active_language(bank, shared, clips, expected):
    shared.set_language("it")
    path = bank.path("fr")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="is refused"):
        shared.set_language("fr")
    assert shared.language == "it"
    assert shared.transcribe(clips[:1], "it") == expected["it"][:1]


def test_a_file_that_was_replaced_by_one_for_other_layers_is_refused(bank, shared, backbone):
    bank.add(make_entry(backbone, "fr"), replace=True)
    with pytest.raises(UserError, match="load the bank again"):
        shared.set_language("fr")


def test_a_language_exchanged_for_another_is_refused(bank, shared):
    shutil.copy(bank.path("it"), bank.path("fr"))
    with pytest.raises(UserError, match="holds 'it', not 'fr'"):
        shared.set_language("fr")


def test_pieces_are_decoded_with_their_model(backbone, clips, tmp_path):
    words = ["ba be bi", "bo da de", "di do ba"]
    tokenizer = Pieces.load_or_create(tmp_path / "pieces.model", words, 11)
    torch.manual_seed(0)
    head = CTCHead(16, len(tokenizer.labels))
    record = tokenizer_record(tokenizer)
    bank = MaskBank(tmp_path / "bank")
    bank.add(make_entry(backbone, head=head.state_dict(), tokenizer=record))
    shared = SharedRecogniser(bank, copy.deepcopy(backbone))
    found = shared.transcribe(clips, "fr")
    assert any(found)
    assert set("".join(found)) <= set(" abdeio")

    for model, reason in ((b"evil", "cannot be made"), (record["model"], "labels are not those")):
        labels = [*tokenizer.labels[:-1], "zz"] if reason.startswith("labels") else tokenizer.labels
        wrong = {"kind": "sentencepiece", "labels": labels, "model": model}
        bank.add(make_entry(backbone, head=head.state_dict(), tokenizer=wrong), replace=True)
        with pytest.raises(UserError, match=reason):
            SharedRecogniser(bank, copy.deepcopy(backbone)).set_language("fr")
