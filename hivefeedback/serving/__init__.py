"""The application's thread: microseconds, no I/O. Imports the model only."""

from hivefeedback.serving.decide import Decider, as_given
from hivefeedback.serving.draws import Draws, fraction_of
from hivefeedback.serving.live import Live
from hivefeedback.serving.ring import Ring
from hivefeedback.serving.sessions import Sessions

__all__ = ["Decider", "Draws", "Live", "Ring", "Sessions", "as_given", "fraction_of"]
