"""Remember what was said in each conversation, for adapters whose framework keeps no memory of its own."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from adapters.base import Exchange
from policies.limits import MAX_CONVERSATIONS, MAX_EXCHANGES_PER_CONVERSATION


class Conversations:
    """The latest exchanges of the latest conversations, by context id."""

    def __init__(self, record: Callable[[str, object], None] = lambda _kind, _value: None) -> None:
        """`record` writes down what must survive a kill of this process."""
        self._by_context: OrderedDict[str, deque[Exchange]] = OrderedDict()
        self._record = record

    def history(self, context_id: str) -> tuple[Exchange, ...]:
        """Return what was said, oldest first."""
        return tuple(self._by_context.get(context_id, ()))

    def add(self, context_id: str, exchange: Exchange) -> None:
        """Remember one finished turn; the least recently used conversation goes when there are too many."""
        self._record("exchange", {"contextId": context_id, "user": exchange.user, "agent": exchange.agent})
        self._keep(context_id, exchange)

    def _keep(self, context_id: str, exchange: Exchange) -> None:
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
                self._keep(context_id, Exchange(user=str(exchange["user"]), agent=str(exchange["agent"])))
