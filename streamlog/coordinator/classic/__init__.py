"""Classic groups: members join, a leader assigns, everybody syncs.

    states              which event leads where, and what is answered in each state, as tables
    group, member       a group while it is coordinated; decisions work on copies
    recorded            a group as its last record tells it
    join_group, sync_group, heartbeat, leave_group
                        the requests
    rebalance           the phases between them
    parked              answers, also to those who wait
    requests, subscription
                        what versions and subscriptions mean

Rules: what is volatile (parked requests, sessions, phases) lives in one process and dies with it,
as with Kafka's coordinators; what has to survive is in the record that ends a rebalance.

What it is not: it does not look into what members tell each other, but for the topics of consumers.
"""
