"""One module an API family: each function takes a connection and a request, and answers it.

An answer is the body of the response or, where it has to be waited for, a coroutine of it.
Functions that take long are run on threads by the endpoint. A request's errors become codes
where Kafka has a place for them, by partition or topic; what is raised ends the connection.

What a handler is not: a judge. It says in the protocol's words what the engine did or refused.
"""

from __future__ import annotations
