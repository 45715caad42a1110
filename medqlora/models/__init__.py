"""Base models, adapters, the engines that run them, and text generation.

Where the package `kernels` is installed, bitsandbytes and transformers fetch compiled code from the
hub by themselves and run it; here it counts as missing, unless somebody has imported it before.
"""

import sys

sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
