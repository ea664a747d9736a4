"""One byte a number instead of four, rounded so that it is right on average.

QSGD's stochastic rounding (Alistarh et al. 2017, section 3.1), with the largest magnitude of each array as its scale: a
number `x` becomes one of the two multiples of `max|x| / 127` around it, the nearer one with the greater chance, so that
its mean over draws is `x`. A mean over many clients loses next to nothing by it.
"""

import numpy as np

from fedrec.transforms.base import TRANSFORMS, Arrays, Sender, Transform

LEVELS = 127
"""Multiples of the step on either side of 0: what a signed byte holds."""

VALUES, SCALE = "int8/", "scale/"
"""Before the name of an array: its numbers, and what one level is worth."""


@TRANSFORMS.register("int8")
class Int8(Transform):
    """Sends whole numbers from -127 to 127 and one scale an array.

    Each number is off by less than `max|x| / 127` of its array; an array of zeros stays zeros. An array with NaN or
    infinity is decoded to NaN. It goes last in a list of transforms: it takes arrays of floats alone.
    """

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Round each number down or up by a draw of its own.

        Raises:
            TypeError: If an array is not of floats.
        """
        rng = sender.rng("rounding")
        sent = {}
        for name, value in sorted(change.items()):
            if value.dtype != np.float32:
                message = f"int8 rounds float32, but {name} is {value.dtype}; put it last in transforms"
                raise TypeError(message)
            largest = np.abs(value).max(initial=0.0)
            step = np.float32(largest / LEVELS) if np.isfinite(largest) else np.float32(np.nan)
            levels = value / step if step > 0 else np.zeros_like(value)
            drawn = np.floor(levels + rng.random(value.shape, dtype=np.float32))
            sent[f"{VALUES}{name}"] = np.clip(drawn, -LEVELS, LEVELS).astype(np.int8)
            sent[f"{SCALE}{name}"] = np.asarray(step)
        return sent

    def decode(self, received: Arrays) -> Arrays:
        """Return each array's numbers times its scale."""
        names = [name.removeprefix(VALUES) for name in received if name.startswith(VALUES)]
        return {name: received[f"{VALUES}{name}"] * received[f"{SCALE}{name}"].astype(np.float32) for name in names}
