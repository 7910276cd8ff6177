"""Consumer groups (KIP-848): members that say what they have and are told what to have next.

    group               a group as its records tell it; `replay` is its only mutator
    member              its members, and the states that they are in
    heartbeat           the request in which everything happens
    join, leave         who comes and who goes
    lookup              who is asked for, or why they are not there
    rebalance           epoch, targets, a member's next step
    reconciliation      that step
    subscribing         patterns and the topics that they come to
    sessions, liveness  who is still there
    classic_join, classic_requests, embedded
                        members that speak the classic protocol in a consumer group

Rules: a decision writes records and reads its group as they leave it; nothing is changed by hand.

What it is not: it neither assigns (`assignors`) nor waits (`timers`).
"""
