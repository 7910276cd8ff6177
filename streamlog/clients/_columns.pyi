from streamlog.clients.columns import group_by_partition as group_by_partition
from streamlog.clients.columns import largest_size as largest_size
