"""How much longer than on a machine of its own things may take here: ORCHESTR8_SLOW, 1 unless somebody says more."""

import os
from typing import Final

SLOW: Final = float(os.environ.get("ORCHESTR8_SLOW", "1"))
