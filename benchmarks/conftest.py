"""Puts this directory on the path, so that the benchmarks find interleave.py and problems.py under pytest as well.

Here because the project's pytest imports modules without touching sys.path.
Used by ``pytest benchmarks/bench_difference.py --benchmark-enable``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
