"""What the tables say that a language takes."""

from s3_speechbrain.report.main_table import stored_bytes
from s3_speechbrain.report.runs import pool


def test_files_in_a_bank_count_where_runs_wrote_them(make_run):
    counted = make_run(language="en", size__bytes_per_language=1000)
    in_bank = make_run(language="fr", size__bytes_per_language=1000, size__bytes_in_bank=700)
    one, other = pool([counted]), pool([in_bank])
    assert stored_bytes([*one, None]) == 1000
    assert stored_bytes([*one, *other]) == 700
    assert stored_bytes([None]) is None
