"""Remember what was said in each conversation, for adapters whose framework keeps no memory of its own."""

from collections import OrderedDict, deque
from typing import Any

from adapters.base import Exchange
from policies.limits import MAX_CONVERSATIONS, MAX_EXCHANGES_PER_CONVERSATION


class Conversations:
    """The latest exchanges of the latest conversations, by context id."""

    def __init__(self) -> None:
        self._by_context: OrderedDict[str, deque[Exchange]] = OrderedDict()

    def history(self, context_id: str) -> tuple[Exchange, ...]:
        """Return what was said, oldest first."""
        return tuple(self._by_context.get(context_id, ()))

    def add(self, context_id: str, exchange: Exchange) -> None:
        """Remember one finished turn; the least recently used conversation goes when there are too many."""
        exchanges = self._by_context.setdefault(context_id, deque(maxlen=MAX_EXCHANGES_PER_CONVERSATION))
        exchanges.append(exchange)
        self._by_context.move_to_end(context_id)
        if len(self._by_context) > MAX_CONVERSATIONS:
            self._by_context.popitem(last=False)

    def export(self) -> dict[str, list[dict[str, str]]]:
        """Return everything as JSON values, least recently used first."""
        return {
            context_id: [{"user": exchange.user, "agent": exchange.agent} for exchange in exchanges]
            for context_id, exchanges in list(self._by_context.items())
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what `export` returned.

        Raises:
            KeyError, TypeError, AttributeError: it has another form.
        """
        for context_id, exchanges in saved.items():
            for exchange in exchanges:
                self.add(context_id, Exchange(user=str(exchange["user"]), agent=str(exchange["agent"])))
