"""The requests of which a log has kept a share only.

1. A line with a share of a hundredth stands for a hundred requests for its version. Each line stays where it is; its
   companions come by chance between it and the next line of the same version, the last one's between the last line and
   the end of the log, and before the first: a version's rate is as high as its lines are dense.
2. What had no luck at all is missing: of the versions with a handful of requests, some. So a log that is kept in part
   promises a little more hits than there will be, the more the smaller the share. ``sardonyx plan`` says so.
"""

import numpy as np
from numpy.typing import NDArray

from gateway.planner.load import Load


def expand(load: Load, shares: NDArray[np.float64]) -> Load:
    """Return a load with all requests for which the lines stand.

    Args:
        load: the lines, as requests.
        shares: how large a share of its kind was kept of each: [requests], above 0, up to 1.
    """
    if (shares >= 1).all():
        return load
    choice = np.random.default_rng(2)
    companions = 1 / shares - 1
    counts = companions.astype(np.int64)
    counts += choice.random(len(counts)) < companions - counts
    begins, lengths = _gaps(load)
    added = np.repeat(np.arange(len(load)), counts)
    times = load.times[0] + (begins[added] + lengths[added] * choice.random(len(added))) % max(load.seconds, 1e-9)
    all_times = np.concatenate([load.times, times])
    order = np.argsort(all_times, kind="stable")
    which = np.concatenate([np.arange(len(load)), added])[order]
    return Load(
        keys=load.keys,
        versions=load.versions,
        key_indexes=load.key_indexes[which],
        version_indexes=load.version_indexes[which],
        times=all_times[order],
    )


def _gaps(load: Load) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each line where it stands, and how long it takes to its version's next line, round the log's end."""
    order = np.lexsort((load.times, load.version_indexes))
    times, versions = load.times[order] - load.times[0], load.version_indexes[order]
    is_last = np.append(versions[1:] != versions[:-1], [True])
    first_of = np.searchsorted(versions, versions)
    after = np.where(is_last, times[first_of] + load.seconds, np.append(times[1:], 0.0))
    lengths = np.empty(len(load))
    lengths[order] = after - times
    return load.times - load.times[0], lengths
