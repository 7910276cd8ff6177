from streamlog.clients.awaitable import AsyncRecordStream as AsyncRecordStream
from streamlog.clients.awaitable import AsyncSender as AsyncSender
from streamlog.clients.awaitable import NextRecord as NextRecord
from streamlog.clients.awaitable import Resolved as Resolved
