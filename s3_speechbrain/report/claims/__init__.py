"""What three papers claim, judged by the committed runs.

Each paper has a file of claims (`s3_router`, `parp`, `s6_damon`): sentences, published numbers, and which runs are
compared. `model` holds the rules that turn comparisons into verdicts, `choosing` which runs stand on a side, `page`
the tables.
"""

from s3_speechbrain.report.claims.page import CLAIM_SECTIONS, claims, claims_short

__all__ = ["CLAIM_SECTIONS", "claims", "claims_short"]
