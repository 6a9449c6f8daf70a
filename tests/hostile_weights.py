"""Ways to spoil the weights of a model folder: more of the cases of `hostile_models`, which imports them."""

import json

from spoiling import WEIGHTS, case, edit, sign, with_header


@case("is of type F32, its config says F16")
def weights_of_another_type_than_the_config_says(folder):
    def change(top, own):
        own["weights"]["dtype"] = top["dtype"] = "float16"

    edit(folder, change)


@case("checksum")
def one_bit_is_flipped(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)


@case("bytes, its config says")
def weights_are_cut_off(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


@case("invalid|offset|header")
def weights_are_cut_off_and_signed(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    sign(folder)


@case("git lfs pull")
def weights_are_a_pointer(folder):
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@case("has a field twice")
def a_tensor_twice_in_the_header(folder):
    def twice(text):
        start = text.index('"lm_head.bias"')
        row = text[start : text.index("}", start) + 1]
        return text.rstrip()[:-1] + "," + row + "}"

    with_header(folder, twice)


@case("offset|overlap|[Ii]nvalid")
def two_tensors_over_the_same_bytes(folder):
    def overlap(text):
        table = json.loads(text)
        names = [name for name in table if name.endswith("layer_norm.bias")][:2]
        table[names[1]]["data_offsets"] = table[names[0]]["data_offsets"]
        return json.dumps(table)

    with_header(folder, overlap)


@case("follows a gap")
def a_gap_between_two_tensors(folder):
    def change(text):
        table = json.loads(text)
        last = max(table.values(), key=lambda row: row.get("data_offsets", [-1])[0])
        last["data_offsets"] = [offset + 8 for offset in last["data_offsets"]]
        return json.dumps(table)

    with_header(folder, change)


@case("the offsets of its tensors end at")
def bytes_behind_the_last_tensor(folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(bytes(4096))
    sign(folder)
