"""Measured encoding times on EC2, for the family ``aws``.

Source: breno-sh/webmedia2026-transcoding-artifact on GitHub, commit 74d8755e, MIT licence, the files
processed_data/experimental_data/aggregated_<instance>.csv. Each figure is the mean of the 30 runs with five threads.
"""

CODECS = ("h264", "h265", "vp9")

SECONDS = {
    "c5.large": (2.171, 3.642, 15.021),
    "c5.2xlarge": (1.268, 1.767, 15.109),
    "c5.4xlarge": (1.166, 1.585, 14.953),
    "m5.xlarge": (1.620, 2.459, 16.807),
    "t3.medium": (2.529, 4.319, 17.718),
    "t2.micro": (2.707, 4.888, 15.440),
}
"""Seconds for the project's clip, by instance type and codec."""
