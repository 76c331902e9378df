"""`python -m studies.posteriors [overrides]`: the pipeline with this study preset."""

import sys

from pipelines.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], study="posteriors"))
