"""Types of numpy arrays that several modules name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Of whichever number type a file has."""
Floats = NDArray[np.float32]
