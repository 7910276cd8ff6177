"""Groups of either protocol: found, listed, described, removed.

    table               every group that records tell of, and a draft of it for a decision
    listing, description, removal
                        ListGroups; DescribeGroups and ConsumerGroupDescribe; DeleteGroups

Rules: `replay` is the table's only mutator; a group that only holds offsets has no entry.

What it is not: the rules of a protocol are in `classic` and `consumer`.
"""
