"""Media work of an engine: find ffmpeg, say what it can do, measure it, and run transcodes with it.

This package knows nothing of jobs, leases or servers, so it can be used and tested by itself:

- `ffmpeg` finds the executable and probes it for facts; `benchmark` measures how fast it is;
- `media` reads, verifies and makes media files; `sources` fetches what a job names;
- `transcode` runs one transcode, which can be watched, limited and cancelled;
- `failures` has the one error everything here raises, typed by who is to blame.
"""
