"""Did it get better, and is it safe: metrics, statistics, the safety filter, the comparison.

What is here scores and compares texts, and asks a loaded model for answers. Loading models is
`models`' work, running an evaluation as a job with progress and cancel is `runs`'.
"""

from medqlora.evaluation.statistics import PairedComparison, paired_comparison

__all__ = ["PairedComparison", "paired_comparison"]
