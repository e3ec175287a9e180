"""Times as Taskcluster writes them."""

import time

DAY = 86_400


def timestamp(seconds: float) -> str:
    """A time in seconds since 1970, as Taskcluster writes it."""
    milliseconds = int(seconds * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(milliseconds // 1000))}.{milliseconds % 1000:03}Z"
