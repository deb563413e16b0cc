"""The demo: the main job on real HTTP traffic, in about a minute.

Extra: ``pip install 'hivefeedback[demo]'``. Use: ``hivefeedback demo``, or::

    python -m hivefeedback_demo --seed 7
"""

from hivefeedback_demo.command import main

__all__ = ["main"]
