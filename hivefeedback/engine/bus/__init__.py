"""The event bus inside the process: subscribers, streams, and the log as a source of both."""

from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.bus.following import check_position, pages
from hivefeedback.engine.bus.stream import EventStream
from hivefeedback.engine.bus.subscription import Subscription
from hivefeedback.engine.bus.wanted import Where, wanted

__all__ = ["Bus", "EventStream", "Subscription", "Where", "check_position", "pages", "wanted"]
