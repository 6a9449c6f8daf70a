"""A data2vec folder without preprocessor_config.json raised AttributeError: its config has no feat_extract_norm."""

from transformers import AutoModel, Data2VecAudioConfig

from s3_speechbrain.encoders import SpeechEncoder


def test_it_loads_and_its_waveforms_are_normalised(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 2, "num_conv_pos_embedding_groups": 2}
    AutoModel.from_config(Data2VecAudioConfig(**sizes, **convolutions)).save_pretrained(tmp_path)
    assert SpeechEncoder(str(tmp_path)).normalises
