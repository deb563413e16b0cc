"""What other systems wrote down, read so that it can be carried over.

No extra is needed. On the command line::

    hivefeedback import performance_metrics.json model_performance_stats.json config.yaml --dry-run

``read_file`` tells the format by the content: LLMHive's metrics, Task 44's records, a LiteLLM
configuration. ``carry_over`` puts what was read into the store of a loop, each thing once.
"""

from hivefeedback_import.carried import Carried, Quality, Total
from hivefeedback_import.carrying import Brought, carry_over
from hivefeedback_import.reading import read_file

__all__ = ["Brought", "Carried", "Quality", "Total", "carry_over", "read_file"]
